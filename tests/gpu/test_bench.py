"""The benchmarks on a GPU, on the stand-in: the commands as a user runs them, and what they measure."""

import json

import pytest
import torch

from benchmarks.bench import CONFIGS
from benchmarks.gpu import theirs
from benchmarks.gpu_worker import TINY, seconds_a_step
from tests.test_bench import bench, workers

STAND_IN = ("--backend", "cupy", "--stand-in", "--rounds", "2", "--threads", "1")


def test_training_steps_beside_torchs(tmp_path):
    precision, out = "bf16", tmp_path / "rows.json"
    result = bench(tmp_path, *STAND_IN, "--precision", precision, "--configs", "gpt2-b4", "--json", out)
    assert (result.code, result.err) == (0, "")
    ours, eager = json.loads(out.read_text())
    assert [ours["peer"], eager["peer"]] == ["tinyllm", "torch-eager"]
    assert ours["backend"] == "cupy" and ours["precision"] == eager["precision"] == precision
    assert ours["versions"]["on"] == "stand-in" and eager["forward_ms"] is None
    assert ours["speed_to_torch_eager"] == pytest.approx(1 / ours["ratio_to_torch_eager"])
    assert ours["mfu"] == pytest.approx(
        CONFIGS["gpt2-b4"].model_flops / (ours["gemm_gflops"] * 1e9) / (ours["step_ms"] / 1e3)
    )
    assert "speed / torch eager" in result.out and precision in result.out


def test_tokens_beside_torchs(tmp_path):
    out = tmp_path / "rows.json"
    arguments = ("--precision", "bf16", "--prompt", "2", "--tokens", "3", "--json", out)
    result = bench(tmp_path, "generate", *STAND_IN, *arguments)
    assert (result.code, result.err) == (0, "")
    rows = json.loads(out.read_text())
    assert [row["peer"] for row in rows] == ["tinyllm", "tinyllm-no-cache", "torch"]
    assert all(row["precision"] == "bf16" and row["token_ms"] > 0 for row in rows)
    assert rows[0]["weights_mb"] == 2 * (12 * 12 * 768**2 + 50257 * 768) / 1e6


@pytest.mark.parametrize("command", [(), ("generate",)], ids=["steps", "tokens"])
def test_without_a_gpu_it_says_so_in_one_line(command, tmp_path):
    result = bench(tmp_path, *command, "--backend", "cupy", "--peers", "none", first="sys.modules['cupy'] = None\n")
    message = "bench: backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'\n"
    assert (result.code, result.out, result.err) == (2, "", message) and not workers(tmp_path)


def test_the_gpu_is_waited_for_around_a_round_and_not_within():
    heard = []
    assert seconds_a_step(lambda: heard.append("step"), lambda: heard.append("wait"), 3) > 0
    assert heard == ["wait", "step", "step", "step", "wait"]


TORCHS = [("fp32", "highest", torch.float32), ("tf32", "high", torch.float32), ("bf16", "high", torch.bfloat16)]


@pytest.mark.parametrize("precision, products, kind", TORCHS)
def test_torch_computes_in_the_same_precision(precision, products, kind, monkeypatch):
    """And what it trains are float32 weights, by a fused AdamW."""
    before, heard = torch.get_float32_matmul_precision(), []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *x: heard.append(linear(*x)) or heard[-1])
    made = []
    make = theirs.configure_optimizer
    monkeypatch.setattr(theirs, "configure_optimizer", lambda *x, **y: made.append(make(*x, **y)) or made[0])
    try:
        with theirs.torch_step(TINY, precision) as (step, wait, _):
            step()
        assert torch.get_float32_matmul_precision() == products
    finally:
        torch.set_float32_matmul_precision(before)
    assert {y.dtype for y in heard} == {kind}
    assert all(group["fused"] for group in made[0].param_groups)
    assert {p.dtype for group in made[0].param_groups for p in group["params"]} == {torch.float32}
