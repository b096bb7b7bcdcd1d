"""The rows of a parameter: their gradient goes where the parameter's adds up."""

import numpy as np
import pytest

from tests.cuda.checks import DTYPES, Sink, check_kernel
from tests.op_cases import Case
from tinyllm import Tensor, ops
from tinyllm.autograd import gradients

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
INDICES = [slice(None, 5), slice(None), slice(2, 6), slice(-3, None), slice(4, 4), slice(0, 99), slice(None, 5, 1),
           slice(None, None, 2), slice(5, None, -1), 3, (slice(1, 3), slice(2)), (slice(None), 1)]  # fmt: skip


def normal(*shape):
    return np.random.default_rng([3, *shape]).standard_normal(shape)


@both
@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("shape", [(9, 16), (9, 5), (9, 3, 4)], ids=str)
def test_equals_the_op(shape, index, dtype, cupy):
    check_kernel("getitem", Case([normal(*shape)], None, {"index": index}), dtype)


@both
def test_an_index_of_the_gpu(dtype, cupy):
    """Rows that are picked hundreds of times: bfloat16 would lose count at 256."""
    rows = cupy.asarray(np.repeat([1, 1, 3], 200))
    x = Tensor(cupy.asarray(normal(5, 4).astype(DTYPES[dtype])), requires_grad=True)
    y = ops.getitem(x, index=rows)
    dx = gradients(y, cupy.asarray(np.ones(y.shape, DTYPES[dtype])))[x]
    assert dx.dtype == x.dtype and dx.get()[:, 0].astype(float).tolist() == [0, 400, 0, 200, 0]


@pytest.mark.parametrize("started, index, launches", [(True, slice(None, 5), 1), (False, slice(None), 1),
                                                      (False, slice(None, 5), 2)])  # fmt: skip
def test_launches(started, index, launches, cupy):
    x = Tensor(cupy.asarray(normal(9, 16).astype("float32")), requires_grad=True)
    before = cupy.counts
    y = ops.getitem(x, index=index)
    assert (cupy.counts - before).launches == 0, "a view"
    dy, sink = cupy.asarray(normal(*y.shape).astype("float32")), Sink(started)
    sink.place(x)
    before = cupy.counts
    gradients(y, dy, sink)
    assert (cupy.counts - before).launches == launches
