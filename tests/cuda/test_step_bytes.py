"""The model of bytes against what a captured step gives its kernels; the products against the planner's shapes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.step_bytes import Sizes, kernels, table
from tests.cuda.test_graph import CORPUS, run
from tinyllm.models import GPTConfig
from tinyllm.models.sizes import flops_per_token, parameter_count
from tinyllm.training import graph
from tinyllm.training.config import TrainConfig

CONFIG = TrainConfig(n_layer=2, n_head=2, n_embd=128, block_size=8, batch_size=3, max_iters=9, backend="cupy")
PARTLY = {"attention_backward_q": 2, "attention_backward_kv": 1}  # of dqkv, 3 (N, C): what the kernel does not write


def arrays(x):
    if isinstance(x, np.ndarray):
        return [x]
    return [array for part in x for array in arrays(part)] if isinstance(x, (list, tuple)) else []


@pytest.mark.parametrize("kind, real", [("fp32", 4), ("bf16", 2)])
def test_the_model_is_what_the_kernels_are_given(kind, real, cupy, monkeypatch):
    """Each array counted once; what is not modelled of a step is small."""
    monkeypatch.setattr(graph, "WARM_UP", 1)
    _, state, team = run(TrainConfig(**{**vars(CONFIG), "precision": kind}), 2)
    s = Sizes(3, 8, 128, CORPUS.tokenizer.vocab_size, 2, 2, real)
    assert s.parameters == parameter_count(state.model.config)
    modelled, given, others = {k.name: k for k in kernels(s, blocks=2)}, {}, 0
    for name, _, arguments, _ in team.graph.work:
        nbytes = sum(array.nbytes for array in arrays(arguments))
        if name in modelled:
            given.setdefault(name, []).append(nbytes)
        elif name not in (None, "cublasLt"):
            others += nbytes
    for name, found in given.items():
        model = modelled[name]
        assert len(found) == model.launches, name
        if name not in ("embedding_forward", "embedding_backward", "cross_entropy", "gradient_norm", "adamw"):
            small = 5000 + 2 * 2 * 2 * 256 * 4  # counters, and parts of sums, which are rounded up
            found = [nbytes - PARTLY.get(name, 0) * s.N * s.C * real for nbytes in found]
            assert max(found) <= model.moves + small and min(found) >= model.must - small, (name, found, model)
    vector = state.optimizer.size * 4
    assert vector <= given["gradient_norm"][0] <= vector + 20_000 and s.parameters * 4 <= vector
    assert given["adamw"][0] >= 16 * s.parameters + (2 * s.parameters if real == 2 else 0)
    assert others < 60_000, "something large that the model knows nothing of"
    assert team.graph.kinds["cublasLt"] == sum(k.launches for k in modelled.values() if ": " in k.name)


def test_its_flops_are_those_of_the_package():
    s = Sizes(2)
    config = GPTConfig(vocab_size=s.V, block_size=s.T, n_layer=12, n_head=12, n_embd=768)
    products = sum(k.launches * k.flops for k in kernels(s) if ": " in k.name)
    attention = 6 * 12 * 2 * 768 * (s.T + 1) / 2  # which the backward computes once more in part
    assert products == pytest.approx(s.N * (flops_per_token(config) - attention), rel=1e-6)
    assert sum("all " in line for line in table(s, 4.3, 790)) == 1


def test_the_committed_table_is_the_command_s():
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "benchmarks/step_bytes.py"], cwd=root, capture_output=True, text=True)
    assert said.stdout == (root / "benchmarks/results/step-bytes.txt").read_text(encoding="utf-8")
