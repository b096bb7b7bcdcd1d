"""`bench.py generate` runs, and writes what it promises; how fast anything is decides no test."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import reference.generation
import reference.gpt
from benchmarks.bench import CONFIGS
from benchmarks.generate import row
from benchmarks.generate_worker import bandwidth, weight_bytes
from tests.test_bench import bench, workers
from tinyllm import GPT, GPTConfig
from tinyllm.generation import KVCache

QUICK = ("generate", "--config", "micro", "--prompt", "5", "--tokens", "3", "--rounds", "2", "--threads", "1")


def test_a_row_for_each_library(tmp_path):
    result = bench(tmp_path, *QUICK, "--json", tmp_path / "rows.json")
    assert (result.code, result.err) == (0, "")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [line["peer"] for line in rows] == ["tinyllm", "tinyllm-no-cache", "torch"]
    for line in rows:
        assert line["peer"] in result.out
        assert line["tokens_per_second"] == pytest.approx(1e3 / line["token_ms"])
        assert line["threads"] == 1 and line["rounds"] == 2 and len(line["speed_to_torch_rounds"]) == 2
        assert min(line["prompt_ms"], line["floor_ms"], line["peak_memory_mb"]) > 0
    assert rows[2]["speed_to_torch"] == 1
    notes = [path.read_text() for path in tmp_path.glob("worker.*")]
    assert notes == ["{'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}"] * 3


def test_medians_of_the_rounds_and_ratios_within_each():
    flags = SimpleNamespace(config="micro", prompt=5, threads=1, backend="numpy", precision="fp32")
    ours = [{"token": t, "prompt": 2 * t, "memory": 9.0} for t in (0.5, 0.6, 0.9)]
    theirs = [{"token": t, "prompt": t, "memory": 9.0} for t in (1.0, 0.3, 1.8)]
    rates = [weight_bytes(CONFIGS["micro"]) / floor for floor in (0.1, 0.1, 0.3)]
    line = row(flags, "tinyllm", ours, theirs, rates, {})
    assert line["token_ms"] == 600 and line["speed_to_torch"] == 2 and line["prompt_ms"] == 1200
    assert line["floor_ms"] == pytest.approx(100) and line["floor_share"] == pytest.approx(0.2)
    assert row(flags, "tinyllm", ours, None, rates, {})["speed_to_torch"] is None


def test_the_weights_are_those_of_the_matrices():
    matrices = [p.data.nbytes for name, p in GPT(GPTConfig(**CONFIGS["micro"].sizes)).named_parameters()
                if p.ndim == 2 and name != "wpe.weight"]  # fmt: skip
    assert weight_bytes(CONFIGS["micro"]) == sum(matrices)
    assert bandwidth(CONFIGS["micro"]) > 0


@pytest.mark.parametrize("tied", [True, False])
def test_both_sides_generate_the_same_with_their_caches(tied):
    sizes = {"vocab_size": 13, "block_size": 24, "n_layer": 2, "n_head": 2, "n_embd": 16, "tie_weights": tied}
    ours, theirs = GPT(GPTConfig(**sizes)), reference.gpt.GPT(reference.gpt.GPTConfig(**sizes)).eval()
    ours.load_state_dict({name: 10 * array for name, array in ours.state_dict().items()})
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    ids = np.random.default_rng(0).integers(0, 13, (2, 7))
    tokens = torch.cat(list(reference.generation.greedy_tokens(theirs, torch.from_numpy(ids), 9)), dim=1)
    assert ours.generate(ids, 9, temperature=0).data[:, 7:].tolist() == tokens.tolist()
    room = reference.generation.fixed_cache(theirs, 2, 16)
    for _ in range(2):  # what torch.compile gets, and then gets again
        fixed = reference.generation.greedy_tokens_at(theirs, torch.from_numpy(ids), 9, room)
        assert torch.cat(list(fixed), dim=1).tolist() == tokens.tolist()
    cache = reference.generation.static_cache(theirs, 2, 7)
    with torch.no_grad():
        logits = reference.generation.next_logits(theirs, torch.from_numpy(ids), cache, 0)
    np.testing.assert_allclose(KVCache(ours, 2, 7)(ids), logits.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "mini"], "invalid choice: 'mini'"),
        (["--prompt", "62"], "--prompt 62 and --tokens 3 are more than the 63 that micro sees; choose fewer"),
        (["--tokens", "0"], "must be a whole number, 1 or more, not '0'"),
        (["--peers", "jax"], "'jax' is unknown; choose from torch, torch-compile, none"),
        (["--peers", "torch-compile"], "torch-compile is for a GPU; add --backend cupy, or leave it out"),
        (["--precision", "bf16"], "--precision and --stand-in are for a GPU; add --backend cupy"),
    ],
)
def test_mistakes_end_it_before_anything_is_measured(tmp_path, arguments, message):
    result = bench(tmp_path, *QUICK, *arguments)
    assert result.code == 2 and message in result.err and not result.out
    assert not workers(tmp_path)
