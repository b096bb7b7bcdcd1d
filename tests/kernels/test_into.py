"""Kernels whose backward adds to a gradient that is there already, and when they may not."""

import numpy as np
import pytest

import tinyllm.kernels  # noqa: F401  (attaches them)
from tinyllm import Tensor, ops
from tinyllm.autograd import OPS, gradients, kernel
from tinyllm.ops.activation import tanh_forward
from tinyllm.places import Place


class Sink:
    """Adds everything up in arrays of its own."""

    def __init__(self, dtype=np.float32):
        self.dtype, self.sums, self.placed = dtype, {}, 0

    def place(self, leaf):
        return Place(self.sums.get(leaf, np.full(leaf.shape, np.nan, self.dtype)), leaf in self.sums)

    def take(self, leaf, share):
        if isinstance(share, Place):
            self.sums[leaf], self.placed = share.array, self.placed + 1
        elif leaf in self.sums:
            self.sums[leaf] += share
        else:
            self.sums[leaf] = share.copy()


@pytest.fixture
def adding(monkeypatch):
    """tanh with a kernel that adds its gradient wherever it may; gives what it was offered."""
    offered = []

    def backward(dy, y, into):
        offered.append(into[0])
        dx = dy * (1 - y * y)
        if into[0] is None:
            return dx
        if into[0].started:
            into[0].array[...] += dx
        else:
            into[0].array[...] = dx
        return into[0]

    monkeypatch.setattr(OPS["tanh"], "kernels", {})
    kernel(ops.tanh, "numpy", tanh_forward, backward)
    return offered


def value(dtype="float32"):
    return Tensor(np.random.default_rng(0).standard_normal(5).astype(dtype), requires_grad=True)


def test_a_leaf_s_gradient_is_added_where_the_sink_says(adding):
    x, sink = value(), Sink()
    assert gradients((ops.tanh(x) + ops.tanh(x)).sum(), sink=sink) == {}
    np.testing.assert_allclose(sink.sums[x], 2 * (1 - np.tanh(x.data) ** 2), rtol=1e-6)
    assert sink.placed == 2 and [place.started for place in adding] == [False, True]


def test_without_a_sink_no_leaf_has_a_place(adding):
    x = value()
    ops.tanh(x).sum().backward()
    assert adding == [None]
    np.testing.assert_allclose(x.grad, 1 - np.tanh(x.data) ** 2, rtol=1e-6)


def test_a_place_may_be_wider_than_the_leaf(adding):
    x, sink = value(), Sink(np.float64)
    gradients(ops.tanh(x).sum(), sink=sink)
    assert sink.sums[x].dtype == np.float64


def test_what_is_pending_is_added_to_where_nobody_else_sees_it(adding):
    x = value()
    y = x * 1
    late = y * 2  # its backward runs after that of tanh's, which is newer
    (ops.tanh(y) + late).sum().backward()
    assert adding == [None]
    x.grad = None
    y = x * 1
    early = ops.tanh(y)
    (early + y * 2).sum().backward()
    assert isinstance(adding[1], Place) and adding[1].started
    np.testing.assert_allclose(x.grad, 1 - np.tanh(x.data) ** 2 + 2, rtol=1e-6)


def test_a_gradient_that_two_share_is_not_written_to(adding):
    """add passes the same dy to both of its inputs: what one of them adds must not reach the other."""
    x, z = value(), value()
    y, other = x * 1, z * 1
    early = ops.tanh(y)
    (early + (y + other)).sum().backward()  # y + other is newer: y and other have the same array pending
    assert adding == [None]
    np.testing.assert_allclose(z.grad, np.ones(5), rtol=0)
    np.testing.assert_allclose(x.grad, 2 - np.tanh(x.data) ** 2, rtol=1e-6)


def test_so_is_one_of_which_somebody_holds_a_view(adding):
    x = value()
    y = x * 1
    early, held = ops.tanh(y), []

    def backward(dy):
        dx = dy * 2
        held.append(dx[:2])
        return dx

    OPS["negative"].kernels, before = {}, OPS["negative"].kernels
    try:
        kernel(ops.negative, "numpy", lambda x: (x * 2, ()), backward)
        (early + ops.negative(y)).sum().backward()
    finally:
        OPS["negative"].kernels = before
    assert adding == [None]
    np.testing.assert_array_equal(held[0], [2, 2])


def test_a_number_that_stands_for_many_is_not_written_to(adding):
    """sum's gradient is one number, seen again and again."""
    x = value()
    y = x * 1
    early = ops.tanh(y)
    ((early * 2).sum() + y.sum()).backward()
    assert adding == [None]
    np.testing.assert_allclose(x.grad, 3 - 2 * np.tanh(x.data) ** 2, rtol=1e-6)


def test_an_array_in_the_arena_can_be_alone_there(adding):
    x = Tensor(np.ones((64, 128), np.float32), requires_grad=True)
    y = x * 1
    early = ops.tanh(y)
    (early + ops.gelu_tanh(y)).sum().backward()
    assert adding[0].started and x.grad.std() < 1e-6


def test_a_float32_result_of_bfloat16_is_allowed_and_no_other():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = Tensor(np.ones(3).astype(bfloat16), requires_grad=True)
    assert x.dtype == bfloat16 and (x + x).dtype == bfloat16
    kept = OPS["negative"].kernels
    try:
        OPS["negative"].kernels = {}
        kernel(ops.negative, "numpy", lambda x: (x.astype(np.float32), ()), lambda dy: dy.astype(bfloat16))
        y = ops.negative(x)
        assert y.dtype == np.float32
        y.sum().backward()
        assert x.grad.dtype == bfloat16
        OPS["negative"].kernels = {}
        kernel(ops.negative, "numpy", lambda x: (x.astype(np.float64), ()), lambda dy: dy)
        with pytest.raises(TypeError, match="made float64 out of bfloat16"):
            ops.negative(x)
    finally:
        OPS["negative"].kernels = kept
