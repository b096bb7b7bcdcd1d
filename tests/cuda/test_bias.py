"""bias.cu: a bias for every row, and the sum over rows, wide and narrow, in one block or several."""

import numpy as np
import pytest

from tests.cuda.checks import BOUND, DTYPES
from tests.op_checks import assert_close
from tinyllm.kernels.cuda.bias import add_bias, sum_rows


def on_gpu(cupy, dtype, *shape):
    return cupy.asarray(np.random.default_rng(shape).standard_normal(shape).astype(DTYPES[dtype]))


def check(cupy, dtype="float32"):
    for rows, C in [(1, 1), (70, 33), (100, 264)]:
        x = on_gpu(cupy, dtype, rows, C)
        exact = x.get().astype("f8").sum(axis=0)
        for out in ("float32", dtype):
            sums = cupy.empty(C, DTYPES[out])
            assert_close("sums", sum_rows(x, sums).get().astype("f8"), exact, BOUND[out])
            assert_close("added", sum_rows(x, sums, add=True).get().astype("f8"), 2 * exact, 2 * BOUND[out])


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_the_sum_over_rows(dtype, cupy):
    check(cupy, dtype)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(1, 1), (3, 5, 7), (60, 264)], ids=str)
def test_a_bias_for_every_row(shape, dtype, cupy):
    y, bias = on_gpu(cupy, dtype, *shape), on_gpu(cupy, dtype, shape[-1])
    exact = y.get().astype("f8") + bias.get().astype("f8")
    add_bias(y, bias)
    assert_close("y", y.get().astype("f8"), exact, BOUND[dtype])
