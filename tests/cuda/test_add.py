"""add.cu against the plain op: the residual stream, and a table that is added to each of a batch."""

import numpy as np
import pytest

from tests.cuda.checks import DTYPES, check_kernel, host
from tests.op_cases import Case
from tinyllm import Tensor, ops
from tinyllm.autograd import gradients
from tinyllm.kernels.cuda import add

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def normal(*shape):
    return np.random.default_rng([1, *shape]).standard_normal(shape)


@both
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (3, 5), (2, 8, 768), (2, 7, 31)], ids=str)
def test_two_of_one_shape(shape, dtype, cupy):
    check_kernel("add", Case([normal(*shape), normal(*shape) + 1], None), dtype)


@both
@pytest.mark.parametrize("times, shape", [((1,), (3, 5)), ((2,), (4, 16)), ((9,), (7, 33)), ((2, 3), (5, 8)),
                                          ((0,), (3, 5)), ((3,), (2, 3, 4)), ((40,), (16, 24))], ids=str)  # fmt: skip
def test_a_table_added_to_each_of_a_batch(times, shape, dtype, cupy):
    check_kernel("add", Case([normal(*times, *shape), normal(*shape)], None), dtype)


@both
@pytest.mark.parametrize("a, b", [((3, 5), (5,)), ((5,), (3, 5)), ((3, 5), ()), ((4, 3, 5), (3, 1)), ((1, 5), (3, 1))])
def test_others_are_as_in_the_op(a, b, dtype, cupy):
    check_kernel("add", Case([normal(*a), normal(*b)], None), dtype)


def test_the_sum_over_a_batch_is_that_of_float32_whatever_the_dtype(cupy):
    """In bfloat16, 256 + 1 is 256: summed up in it, a batch of 600 ones would be 256."""
    a, b = (Tensor(cupy.asarray(np.ones(shape, DTYPES["bfloat16"])), True) for shape in [(600, 4, 4), (4, 4)])
    y = ops.add(a, b)
    dy = cupy.asarray(np.ones(y.shape, DTYPES["bfloat16"]))
    assert (host(gradients(y, dy)[b]) == 600).all()


def test_more_repetitions_than_a_grid_is_high(cupy, monkeypatch):
    monkeypatch.setattr(add, "ROWS", 3)
    check_kernel("add", Case([normal(10, 4, 8), normal(4, 8)], None), "float32")


def test_launches_and_frozen_tables(cupy):
    x, table = (Tensor(cupy.asarray(normal(*shape).astype("float32")), True) for shape in [(2, 4, 8), (4, 8)])
    dy = cupy.asarray(normal(2, 4, 8).astype("float32"))
    for inputs, back in [((x, x), 1), ((x, x.detach()), 0), ((x, table), 1), ((x, table.detach()), 0)]:
        before = cupy.counts
        y = ops.add(*inputs)
        assert (cupy.counts - before).launches == 1
        before = cupy.counts
        gradients(y, dy)
        assert (cupy.counts - before).launches == back, "x + x adds dy to itself; one of two alone launches nothing"
