"""gelu.cu against the plain op: sizes that fill no pack, addresses no pack may have, and numbers far out."""

import numpy as np
import pytest

from tests.cuda.checks import DTYPES, check_kernel, host
from tests.op_cases import Case
from tinyllm import Tensor
from tinyllm.autograd import OPS, gradients

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
every_form = pytest.mark.parametrize("name", ["gelu_tanh", "gelu_erf"])


def normal(*shape):
    return 2 * np.random.default_rng(shape).standard_normal(shape)


@both
@every_form
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (8,), (3, 5), (2, 7, 31), (2049,), (8, 768)], ids=str)
def test_equals_the_op(shape, name, dtype, cupy):
    check_kernel(name, Case([normal(*shape)], None), dtype)


@both
@every_form
def test_far_out_it_is_0_or_x_and_so_is_its_slope(name, dtype, cupy):
    values = [0.0, -0.0, 1e-30, -1e-30, 9, -9, 50, -50, 1e9, -1e9, 1e15, -1e15]
    x = Tensor(cupy.asarray(np.array(values).astype(DTYPES[dtype])), requires_grad=True)
    y = OPS[name](x)
    dx = host(gradients(y.sum())[x])
    exact = host(x.data)
    assert np.allclose(host(y.data), np.where(abs(exact) < 1, exact / 2, np.maximum(exact, 0)), rtol=1e-6, atol=1e-15)
    assert np.allclose(dx, np.where(abs(exact) < 1, 0.5, exact > 0), rtol=1e-6, atol=1e-15)


@every_form
def test_what_is_not_a_number_stays_so_and_infinity_too(name, cupy):
    x = Tensor(cupy.asarray(np.array([np.nan, np.inf, 1], "float32")))
    y = OPS[name](x).data.get()
    assert np.isnan(y[0]) and y[1] == np.inf and np.isfinite(y[2])


@every_form
def test_parts_of_an_array(name, cupy):
    """One begins at no multiple of 16 bytes, the other's numbers do not lie side by side."""
    x = cupy.asarray(normal(9, 33).astype("float32"))
    whole = OPS[name](Tensor(x)).data.get()
    for index in [(slice(1, None),), (slice(None), slice(3, 20)), (slice(None), slice(None, None, 2))]:
        assert np.array_equal(OPS[name](Tensor(x[index])).data.get(), whole[index])


def test_one_launch_each_way_and_x_alone_is_kept(cupy):
    x = Tensor(cupy.asarray(normal(4, 64).astype("float32")), requires_grad=True)
    before = cupy.counts
    y = OPS["gelu_tanh"](x)
    assert y.node.saved == (x.data,) and (cupy.counts - before).launches == 1
    dy = cupy.asarray(normal(4, 64).astype("float32"))
    before = cupy.counts
    gradients(y, dy)
    assert (cupy.counts - before).launches == 1
