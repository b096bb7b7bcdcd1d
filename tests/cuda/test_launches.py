"""bench.py launches: what a captured step and a token start, on the stand-in, without computing any of it."""

import numpy as np
import pytest

from benchmarks import launches
from benchmarks.bench import Config
from tests.cuda.shim import compiler
from tinyllm.autograd import OPS

NARROW = Config(12, 2, 16, 8, 2, 64, steps=1)  # gpt2's 12 layers


@pytest.fixture(autouse=True)
def shim():
    if not compiler():
        pytest.skip("no g++ here: no kernel can be made")



@pytest.mark.skipif("cupy" not in OPS["linear_cross_entropy"].kernels, reason="the loss has no kernel for a GPU yet")
def test_what_a_step_starts():
    """Of gpt2 with its 12 layers, narrow: no more launches than it may have; the FLOPs are those of its products."""
    found = launches.of_a_step(NARROW, "bf16")
    rows = launches.rows(found, "bf16")
    assert rows[-1]["kernel"] == "all" and rows[-1]["launches"] == sum(row["launches"] for row in rows[:-1]) <= 350
    assert found["cublasLt"][0] == 12 * 4 * 3 + 3
    weights = 12 * 12 * 16**2 + 64 * 16
    assert found["cublasLt"][2] == 6 * NARROW.tokens * weights
    T, C = 8, 16  # S and y; S, dP and dq; S, dP, dv and dk
    assert [found[f"attention_{name}"][2] for name in ("forward", "backward_q", "backward_kv")] == [
        12 * n * 2 * T * T * C for n in (2, 3, 4)
    ]
    assert all(row["megabytes"] > 0 for row in rows)


def test_what_a_token_starts():
    found = launches.of_a_token(NARROW, "fp32", 5)
    assert sum(launches for launches, *_ in found.values()) == 10 * 12 + 4
    assert found["decode_attention"][0] == 12 and found["cublasLt"][0] == 12 * 4 + 1


def test_bytes_are_counted_once():
    x = np.zeros((3, 5), np.float32)
    assert launches.nbytes(([x, x[:1], 7], {"y": np.float32(1)}, x.copy())) == 120
