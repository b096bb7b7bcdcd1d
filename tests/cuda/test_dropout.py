"""dropout.cu: the masks of tinyllm/random.py, bit for bit, from a counter in memory; or those of an array."""

import numpy as np
import pytest

import tinyllm
from tests.cuda.checks import DTYPES, check_kernel, host
from tests.op_cases import Case
from tinyllm import Tensor, nn, ops
from tinyllm.autograd import gradients
from tinyllm.observe import plain_ops
from tinyllm.random import dropout_step, dropout_stream, mask_counters, random_bits

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
P = [0.0, 0.1, 0.5, 0.9]


def normal(*shape):
    return np.random.default_rng([2, *shape]).standard_normal(shape)


@both
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (3, 5), (2, 7, 31), (9, 768)], ids=str)
def test_with_a_mask_it_is_the_op(shape, dtype, cupy):
    keep = np.asarray(np.random.default_rng(3).random(shape) >= 0.3)
    check_kernel("dropout", Case([normal(*shape), keep], None, {"p": 0.3}), dtype)


def test_a_mask_that_repeats(cupy):
    keep = np.array([[True], [False], [True], [True]])
    check_kernel("dropout", Case([normal(4, 6), keep], None, {"p": 0.3}), "float32")


@both
@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 7, 31), (9, 768)], ids=str)
@pytest.mark.parametrize("first", [0, 5, 2**40])
def test_masks_from_a_counter_are_those_of_the_host(first, shape, p, dtype, cupy):
    counters = cupy.asarray(mask_counters(7, 2**33, first))
    x = Tensor(cupy.asarray(normal(*shape).astype(DTYPES[dtype])), requires_grad=True)
    with dropout_step(7, 2**33, first):
        keep = [dropout_stream().keep(shape, p) for _ in range(3)]
    for site in (0, 2):
        y = ops.dropout(x, counters[site], p=p)
        dx = host(gradients(y, cupy.asarray(np.ones(shape, DTYPES[dtype])))[x])
        exact = keep[site] * np.float32(1 / (1 - p))
        assert np.array_equal(dx != 0, keep[site]) and np.array_equal(host(y.data) != 0, keep[site])
        assert np.allclose(host(y.data), host(x.data) * exact, rtol=2**-8 if dtype == "bfloat16" else 1e-6)
        assert np.allclose(dx, exact, rtol=2**-8 if dtype == "bfloat16" else 1e-6)


@pytest.mark.parametrize("near", [0, 1, -1])
def test_the_threshold_is_compared_in_64_bits(near, cupy, monkeypatch):
    """One below and one above the bits of an element: float32 would not tell them apart."""
    bits = random_bits((8,), seed=1)
    monkeypatch.setattr("tinyllm.kernels.cuda.dropout.threshold", lambda p: np.uint64(int(bits[3]) + near))
    x = cupy.asarray(np.ones(8, "float32"))
    y = ops.dropout(Tensor(x), cupy.asarray(mask_counters(1, 0))[0], p=0.5).data.get()
    assert np.array_equal(y != 0, bits >= np.uint64(int(bits[3]) + near))


def test_a_graph_that_is_replayed_has_the_masks_of_what_stands_in_the_counters_then(cupy):
    counters, drop = cupy.asarray(mask_counters(1, 2)), nn.Dropout(0.5)
    x = Tensor(cupy.asarray(np.ones((4, 6), "float32")))
    for step, first in [(2, 0), (3, 4)]:
        counters[...] = cupy.asarray(mask_counters(1, step, first))
        with cupy.capture(), dropout_step(0, 0, counters=counters):
            y = [drop(x), drop(x)]
        with dropout_step(1, step, first):
            masks = [dropout_stream().keep((4, 6), 0.5) for _ in y]
        assert all(np.array_equal(a.data.get() != 0, mask) for a, mask in zip(y, masks, strict=True))


def test_without_counters_they_are_sent_once_a_table(cupy, monkeypatch):
    monkeypatch.setattr("tinyllm.random.SITES", 4)
    x, drop = Tensor(cupy.asarray(np.ones((4, 6), "float32"))), nn.Dropout(0.5)
    before = cupy.counts
    with dropout_step(1, 2, first=3):
        y = [drop(x) for _ in range(10)]
    made = cupy.counts - before
    assert (made.launches, made.uploads) == (10, 3)
    with dropout_step(1, 2, first=3):
        masks = [dropout_stream().keep((4, 6), 0.5) for _ in y]
    assert all(np.array_equal(a.data.get() != 0, mask) for a, mask in zip(y, masks, strict=True))


def test_without_kernels_bfloat16_has_its_masks_too(cupy):
    x = Tensor(cupy.asarray(np.ones((4, 6), DTYPES["bfloat16"])))
    with dropout_step(1, 2), plain_ops():
        y = nn.functional.dropout(x)
    with dropout_step(1, 2):
        assert np.array_equal(y.data.get() != 0, dropout_stream().keep((4, 6), 0.5))


def test_masks_of_both_backends_are_counted_together(cupy):
    tinyllm.manual_seed(3)
    here, there = Tensor(np.ones((4, 6), "float32")), Tensor(cupy.asarray(np.ones((4, 6), "float32")))
    y = [nn.functional.dropout(x) for x in (here, there, here, there)]
    tinyllm.manual_seed(3)
    masks = [dropout_stream().keep((4, 6), 0.5) for _ in y]
    assert all(np.array_equal(tinyllm.backend.to_numpy(a.data) != 0, mask) for a, mask in zip(y, masks, strict=True))


def test_in_evaluation_nothing_is_launched(cupy):
    before = cupy.counts
    x = Tensor(cupy.asarray(np.ones(3, "float32")))
    assert nn.Dropout(0.5).eval()(x) is x and (cupy.counts - before).launches == 0


def test_one_launch_each_way_and_no_mask_in_memory(cupy):
    counters = cupy.asarray(mask_counters(1, 2))
    x = Tensor(cupy.asarray(np.ones((4, 8), "float32")), requires_grad=True)
    before = cupy.counts
    with dropout_step(1, 2, counters=counters):
        y = nn.functional.dropout(x, 0.5)
    assert (cupy.counts - before).launches == 1 and y.node.saved[0].nbytes == 16
    dy = cupy.asarray(np.ones((4, 8), "float32"))
    before = cupy.counts
    gradients(y, dy)
    assert (cupy.counts - before).launches == 1


def test_a_model_trained_with_counters_has_the_losses_of_masks(cupy):
    """The whole of it, attention and residual dropout, kernels and engine: the same seed, the same numbers."""
    ids = np.random.default_rng(0).integers(0, 11, (2, 8))
    config = tinyllm.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8, dropout=0.3)
    losses = []
    for backend, counters in [("numpy", None), ("cupy", None), ("cupy", cupy.asarray(mask_counters(5, 6)))]:
        model = tinyllm.GPT(config).to(backend)
        with dropout_step(5, 6, counters=counters):
            losses.append(model.loss(ids, np.roll(ids, -1)).item())
    assert np.allclose(losses, losses[0], rtol=1e-5)
