"""attention.cu against the plain op in float64: fp32, tf32 and bf16; odd lengths and heads, dropout, extreme scores."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cuda import resources
from tests.cuda.checks import DTYPES, check_kernel
from tests.op_cases import Case
from tinyllm import Tensor, ops
from tinyllm.autograd import gradients
from tinyllm.backend import to
from tinyllm.kernels.cuda.attention import WIDEST, tiles_for
from tinyllm.precision import precision
from tinyllm.random import DropoutStream, mask_counters

# Errors are of the largest entry. tf32 rounds q, k, v, dy by 2⁻¹², bf16 the weights and what comes out by 2⁻⁹; a score
# is then wrong by several of these, and so is its weight.
BOUND = {"fp32": 2e-6, "tf32": 2**-9, "bf16": 2**-7}
every = pytest.mark.parametrize("name", BOUND)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def dtype_of(name):
    return "bfloat16" if name == "bf16" else "float32"


def equals(name, B, T, H, D, p=0.0, qkv=None, bound=None):
    qkv = normal(B, T, 3 * H * D) if qkv is None else qkv
    keep = np.random.default_rng(1).random((B, H, T, T)) >= p if p else None
    with precision(name):
        check_kernel("causal_attention", Case([qkv, keep], None, {"n_head": H, "p": p}), dtype_of(name),
                     bound or BOUND[name])  # fmt: skip


def check(cupy):
    """Rounds enough that a tile's place is used again, with one stage and with two."""
    equals("fp32", 1, 131, 1, 20)
    equals("tf32", 1, 131, 1, 20)


@every
@pytest.mark.parametrize("size", [(2, 66, 2, 20), (1, 70, 1, 64)], ids=str)
def test_equals_the_op(name, size, cupy):
    equals(name, *size)


@pytest.mark.exhaustive
@every
@pytest.mark.parametrize("D", [1, 7, 8, 16, 31, 32, 33, 40, 48, 72, 80, 96, 100, 112, 127, 128])
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_equals_the_op_for_heads_of_all_sizes(name, D, p, cupy):
    for T in (1, 64, 193):
        equals(name, 1, T, 3, D, p)


@pytest.mark.parametrize("name", ["fp32"])
def test_drops_the_weights_that_a_mask_says(name, cupy):
    equals(name, 2, 67, 3, 20, p=0.4)


@pytest.mark.parametrize("name", ["fp32", pytest.param("tf32", marks=pytest.mark.exhaustive),
                                  pytest.param("bf16", marks=pytest.mark.exhaustive)])  # fmt: skip
def test_draws_the_mask_of_random_py(name, cupy):
    """From the counters of the second mask of a step, for the sequences from the third of the batch on."""
    B, T, H, D, p = 2, 66, 3, 20, 0.25
    counter = mask_counters(seed=3, step=7, first=2)[1]
    stream = DropoutStream(3, 7, first=2)
    stream.site = 1
    mask = stream.keep((B, H, T, T), p)
    qkv, dy = normal(B, T, 3 * H * D).astype(DTYPES[dtype_of(name)]), normal(B, T, H * D).astype(DTYPES[dtype_of(name)])
    results = []
    for keep in (counter, mask):
        with precision(name):
            x = Tensor(to(qkv, "cupy"), True)
            y = ops.causal_attention(x, to(keep, "cupy"), n_head=H, p=p)
            results.append((y.data.get(), gradients(y, to(dy, "cupy"))[x].get()))
    assert 0.7 < mask.mean() < 0.8
    for ours, theirs in zip(*results):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("factor, shift", [(20, 0), (0, 0), (0, 50), (1, 50), (1e-20, 0)])
def test_extreme_scores(factor, shift, cupy):
    """Weights of 0 and of 1, scores of thousands, and all alike. A score is wrong in proportion to |q| · |k|."""
    T, D = 70, 20
    qkv = normal(1, T, 3, D)
    qkv[:, :, :2] = qkv[:, :, :2] * factor + shift
    largest = abs(qkv[:, :, 0]) @ abs(qkv[:, :, 1]).swapaxes(-1, -2) / math.sqrt(D)
    equals("fp32", 1, T, 1, D, qkv=qkv.reshape(1, T, 3 * D), bound=BOUND["fp32"] * (1 + largest.max()))


def test_what_is_not_finite_shows(cupy):
    qkv = normal(1, 20, 3 * 20).astype("f4")
    for part in range(3):
        x = qkv.copy()
        x[0, 7, part * 20] = np.nan
        y = ops.causal_attention(Tensor(to(x, "cupy")), n_head=1).data.get()
        assert np.isnan(y[0, 7]).any() and (part == 0 or np.isnan(y[0, 7:]).any(axis=1).all())


@every
def test_what_is_kept_and_launched(name, cupy):
    """Of the forward stay qkv and y, which are there anyway, and a number a row; three launches in all."""
    B, T, H, D = 2, 33, 3, 20
    x = Tensor(to(normal(B, T, 3 * H * D).astype(DTYPES[dtype_of(name)]), "cupy"), True)
    before, rows = cupy.counts, B * H * T
    with precision(name):
        ops.causal_attention(x, n_head=H)  # compiles
        before = cupy.counts
        y = ops.causal_attention(x, n_head=H)
        assert (cupy.counts - before).launches == 1
        arrays = {id(a._host): a for a in y.node.saved if hasattr(a, "nbytes")}
        assert sum(a.nbytes for a in arrays.values()) == x.data.nbytes + y.data.nbytes + 4 * rows
        dy, before = to(np.ones(y.shape, y.dtype), "cupy"), cupy.counts
        gradients(y, dy)
    used = cupy.counts - before
    assert (used.launches, used.uploads, used.downloads) == (2, 0, 0)


def test_views(cupy):
    """Rows that are not neighbours, and an address that is no multiple of 16, are copied before they are read."""
    B, T, H, D = 1, 9, 1, 20
    whole, dy = to(normal(B, T, 6 * H * D).astype("f4"), "cupy"), to(normal(T, B, H * D).astype("f4"), "cupy")
    odd = to(normal(1 + B * T * 3 * H * D).astype("f4"), "cupy")[1:].reshape(B, T, 3 * H * D)
    assert odd.data.ptr % 16
    for qkv in (whole[:, :, : 3 * H * D], odd):
        results = []
        for x, d in ((qkv, dy.transpose(1, 0, 2)), (to(qkv.get(), "cupy"), to(dy.transpose(1, 0, 2).get(), "cupy"))):
            x = Tensor(x, True)
            y = ops.causal_attention(x, n_head=H)
            results.append((y.data.get(), gradients(y, d)[x].get()))
        for ours, theirs in zip(*results):
            assert np.array_equal(ours, theirs)


def test_empty(cupy):
    y = ops.causal_attention(Tensor(to(np.zeros((0, 5, 12), "f4"), "cupy"), True), n_head=2)
    assert y.shape == (0, 5, 4)
    assert next(iter(gradients(y, y.data).values())).shape == (0, 5, 12)


def test_refuses_what_it_cannot_do(cupy):
    x = to(np.zeros((1, 2, 3 * 200), "f4"), "cupy")
    with pytest.raises(ValueError, match="heads of 200 channels; a GPU's kernels take 128 at most"):
        ops.causal_attention(x, n_head=1)
    with pytest.raises(ValueError, match="200 channels are not divisible by n_head=3"):
        ops.causal_attention(x, n_head=3)


@settings(max_examples=300)
@given(st.integers(1, WIDEST), st.sampled_from([("float32", 0), ("float32", 1), ("bfloat16", 1)]), st.integers(0, 2))
def test_as_many_blocks_as_are_meant_fit_on_a_multiprocessor(D, kind, dropout):
    dtype, cores = kind
    tiles = tiles_for(D, dtype, cores, dropout)
    most = max(tiles.shared(name, DTYPES[dtype].itemsize)
               for name in ("attention_forward", "attention_backward_q", "attention_backward_kv"))  # fmt: skip
    assert tiles.BLOCKS * (most + 1024) <= 228 << 10  # of an H100 or H200; each block takes 1 KB more
    assert tiles.HEAD - 15 <= D <= tiles.HEAD and tiles.EXACT == (D == tiles.HEAD)


@pytest.mark.exhaustive
@pytest.mark.skipif(not resources.compiler(), reason="no nvcc here")
@pytest.mark.parametrize("D", [5, *range(16, WIDEST + 1, 8)])
def test_heads_of_no_size_spill(D):
    for dtype, cores in (("float32", 0), ("float32", 1), ("bfloat16", 1)):
        for dropout in range(3):
            tiles = tiles_for(D, dtype, cores, dropout)
            found = resources.resources("attention", dtype, tiles.define())
            assert all(spilled == 0 for _, _, spilled in found.values()), (tiles, found)
            assert all(registers * 128 * tiles.BLOCKS <= 65536 for registers, _, _ in found.values())
