"""common.cuh: bfloat16 as ml_dtypes rounds, packs, and sums over a block and over blocks, in any order of threads."""

import numpy as np
import pytest

from tests.cuda.checks import DTYPES
from tests.cuda.shim import compiler
from tests.cuda.subjects import common_kernels
from tests.fake_cupy.memory import copied, guarded

pytestmark = pytest.mark.skipif(not compiler(), reason="no g++ here: no kernel can run on the CPU")
both_dtypes = pytest.mark.parametrize("dtype", sorted(DTYPES))


def run(name, grid, block, *args, dtype="float32"):
    common_kernels(dtype)[name](grid, block, args)
    return args[0]


def normal(*shape):
    return copied(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def check(cupy=None):
    """Sums over blocks of several sizes and over several numbers of blocks; each in other orders of threads."""
    for block in [(32,), (96,), (32, 5), (4, 8, 32)]:
        x = normal(np.prod(block))
        out = run("sums_of_block", (1,), block, guarded((x.size, 2), "float32"), x)
        first = x.sum(dtype="f8")
        np.testing.assert_allclose(out, np.tile([first, first * first], (x.size, 1)), rtol=1e-4)
    for blocks, width in [(1, 40), (2, 33), (5, 70), (7, 1), (16, 33), (17, 40)]:
        x, counters = normal(blocks, width), np.zeros(1 + blocks, np.int32)
        bits = set()
        for _ in range(6):
            parts = guarded((blocks, width), "float32")
            out = guarded(width, "float32")
            run("sums_of_blocks", (blocks,), (32,), out, parts, counters, x, np.int32(width))
            np.testing.assert_allclose(out[::-1], x.sum(axis=0, dtype="f8"), rtol=1e-5, atol=1e-6)
            bits.add(out.tobytes())
        assert len(bits) == 1, "the order of blocks changed the sum"
        assert not counters.any(), "the counters are not 0 again"


def test_sums():
    check()


@both_dtypes
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n", [8, 40])
def test_packs(n, packed, dtype):
    x = copied(np.arange(n).astype(DTYPES[dtype]))
    out = run("copy", (1,), (32,), guarded(n, DTYPES[dtype]), x, np.int32(n), np.int32(packed), dtype=dtype)
    assert np.array_equal(out, x)


def test_bfloat16_is_rounded_as_ml_dtypes_rounds():
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    halfway = (np.arange(0, 2**16, 7, dtype=np.uint32) << 16) + 0x8000
    edges = np.array([0.0, -0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 65504], np.float32).view(np.uint32)
    x = np.concatenate([bits, halfway, halfway + 1, halfway - 1, edges]).view(np.float32)
    with np.errstate(all="ignore"):
        expected = x.astype(DTYPES["bfloat16"])
    out = run("round_to", (1,), (256,), guarded(x.size, expected.dtype), copied(x), np.int32(x.size), dtype="bfloat16")
    nan = np.isnan(x)
    assert np.isnan(out[nan].astype("f4")).all()
    assert np.array_equal(out[~nan].view(np.uint16), expected[~nan].view(np.uint16))
