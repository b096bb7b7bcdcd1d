"""decode.cu: one token more is the last row of the plain ops over all tokens; and the choice after it."""

import numpy as np
import pytest

from tests.cuda.checks import BOUND, DTYPES
from tests.op_checks import assert_close
from tinyllm import ops
from tinyllm.backend import to
from tinyllm.kernels.cuda import decode
from tinyllm.observe import plain_ops

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def on_gpu(x, dtype):
    return to(x.astype(DTYPES.get(dtype, dtype)), "cupy")


@both
@pytest.mark.parametrize("B, C", [(1, 1), (3, 33), (2, 600)])
def test_the_vector_of_a_token(B, C, dtype, cupy):
    wte, wpe = on_gpu(normal(7, C), dtype), on_gpu(normal(5, C), dtype)
    tokens = np.arange(B) * 3 % 7
    x = decode.embed(on_gpu(tokens, "int64"), on_gpu(np.array([4]), "int64"), wte, wpe)
    expected = wte.get().astype("f8")[tokens] + wpe.get().astype("f8")[4]
    assert_close("x", x.get().astype("f8"), expected, BOUND[dtype])


def check(cupy):
    """A cache that several warps share, and more words than a block has threads."""
    test_attention_is_the_last_row_of_the_op(2, 3, 5, 140, 200, "float32", cupy)
    test_attention_is_the_last_row_of_the_op(1, 1, 128, 140, 200, "float32", cupy)
    test_the_first_of_the_largest(5000, "float32", cupy)


HEADS = [(1, 1, 4), (2, 3, 5), (1, 2, 64), (1, 1, 128), (2, 1, 33), (1, 2, 24), (1, 1, 256)]


@both
@pytest.mark.parametrize("B, H, D", HEADS, ids=str)
@pytest.mark.parametrize("position, length", [(0, 1), (6, 7), (140, 200)])
def test_attention_is_the_last_row_of_the_op(B, H, D, position, length, dtype, cupy):
    T, C = position + 1, H * D
    all_qkv = on_gpu(normal(B, T, 3 * C), dtype)
    exact = all_qkv.get().astype("f8")
    kv = on_gpu(np.full((2, B, H, length, D), np.nan), dtype)  # what lies after the position is nobody's
    _, k, v = exact.reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4)
    for i, kept in enumerate((k, v)):
        kv[i, :, :, :position] = on_gpu(kept[:, :, :position], dtype)
    place = on_gpu(np.array([position]), "int64")
    y = decode.attention(all_qkv[:, -1].copy(), kv, place)
    with plain_ops():
        expected = ops.causal_attention(exact, n_head=H).data[:, -1]
    assert_close("y", y.get().astype("f8"), expected, BOUND[dtype], 0.1)
    found = kv.get().astype("f8")[:, :, :, :T]
    assert np.array_equal(found, np.stack([k, v])), "the new key and value are kept, the others as they were"
    again = decode.attention(all_qkv[:, -1].copy(), kv, place)
    assert np.array_equal(again.get(), y.get()), "the same bits again"


@both
def test_scores_that_are_far_apart(dtype, cupy):
    q, k, v = 100 * normal(3, 1, 1, 9, 32).astype("f4")
    kv = on_gpu(np.stack([k, v]), dtype)
    qkv = np.concatenate([q[0, 0, -1], k[0, 0, -1], v[0, 0, -1]])[None]
    y = decode.attention(on_gpu(qkv, dtype), kv, on_gpu(np.array([8]), "int64")).get().astype("f8")
    q, k, v = (x.astype(DTYPES[dtype]).astype("f8")[0, 0] for x in (q, k, v))
    S = k @ q[-1] / np.sqrt(32)
    assert_close("y", y[0], np.exp(S - S.max()) / np.exp(S - S.max()).sum() @ v, BOUND[dtype])


@both
@pytest.mark.parametrize("V", [1, 31, 33, 5000])
def test_the_first_of_the_largest(V, dtype, cupy):
    scores = np.round(normal(5, V), 1)  # with ties
    scores[1] = -1e30
    scores[2, V // 2] = np.nan
    scores[3, -1] = np.inf
    logits = on_gpu(scores, dtype)
    tokens, position = on_gpu(np.full(5, 99), "int64"), on_gpu(np.array([41]), "int64")
    for again in range(2):
        decode.pick(logits, tokens, position)
        best = logits.get().astype("f8").argmax(axis=1)
        assert tokens.tolist() == [best[0], 0, -1, -1, best[4]] and position.tolist() == [42 + again]
