"""linear on cublasLt: the op's numbers in one launch a product, into the places its gradients have."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.kernels.cuda import products
from tinyllm.kernels.cuda.linear import linear_backward_cuda, linear_forward_cuda
from tinyllm.ops.linear import linear_backward, linear_forward
from tinyllm.places import Place

BFLOAT = np.dtype(ml_dtypes.bfloat16)
ROUNDING = {"float32": 2**-23, "bfloat16": 2**-8}


def normal(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(ours, exact, scale, n, dtype):
    """Within the rounding of a sum of n products, and of the result."""
    assert ours.shape == exact.shape
    bound = (n * 2**-23 + 2 * ROUNDING[np.dtype(dtype).name]) * scale
    assert (abs(ours.astype(np.float64) - exact) <= bound).all()


shapes = st.sampled_from([(1, 1, 1), (5, 3, 7), (4, 8, 16), (2, 3, 8, 24), (33, 16, 1), (1, 40, 8)])


def test_forward_and_gradients_are_the_op_s(cupy):
    @given(shapes, st.sampled_from(["float32", BFLOAT]), st.booleans(), st.booleans())
    def check(shape, dtype, transposed, fused):
        cupy.cublaslt.refuses = () if fused else {products.BIAS, products.BIAS_GRADIENT}
        *batch, inputs, outputs = shape
        x, bias, dy = normal((*batch, inputs), dtype, 1), normal(outputs, dtype, 3), normal((*batch, outputs), dtype, 4)
        weight = normal((outputs, inputs), dtype, 2).T if transposed else normal((inputs, outputs), dtype, 2)
        exact = [array.astype(np.float64) for array in (x, weight, bias)]
        there = [cupy.asarray(array) for array in (x, weight, bias)]
        if transposed:
            there[1] = cupy.asarray(weight.T).T
        y, saved = linear_forward_cuda(*there)
        expected, exact_saved = linear_forward(*exact)
        scale = linear_forward(*map(abs, exact))[0]
        close(y.get(), expected, scale, inputs, dtype)
        close(linear_forward_cuda(*there[:2])[0].get(), expected - exact[2], scale, inputs, dtype)

        dy64 = dy.astype(np.float64)
        scales = linear_backward(abs(dy64), *map(abs, exact_saved))
        expected = linear_backward(dy64, *exact_saved)
        for ours, theirs, scale in zip(linear_backward_cuda(cupy.asarray(dy), *saved), expected, scales, strict=True):
            assert ours.dtype == dtype
            close(ours.get(), theirs, scale, x.size // inputs + outputs, dtype)

    check()


@pytest.mark.parametrize("dtype, wide", [("float32", "float32"), (BFLOAT, "float32"), (BFLOAT, BFLOAT)])
@pytest.mark.parametrize("started", [(0, 0, 0), (1, 1, 1), (0, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("fused", [True, False])
def test_gradients_go_to_their_places(cupy, dtype, wide, started, fused):
    cupy.cublaslt.refuses = () if fused else {products.BIAS_GRADIENT}
    x, weight, dy = normal((2, 5, 8), dtype, 1), normal((8, 24), dtype, 2), normal((2, 5, 24), dtype, 3)
    shapes, dtypes = ((2, 5, 8), (8, 24), (24,)), (dtype, wide, wide)
    held = [normal(shape, kind, 4) if on else np.full(shape, np.nan, kind)
            for shape, kind, on in zip(shapes, dtypes, started)]  # fmt: skip
    before = [array.astype(np.float64) if on else 0 for array, on in zip(held, started)]
    places = tuple(Place(cupy.asarray(array), bool(on)) for array, on in zip(held, started))
    linear_backward_cuda(*map(cupy.asarray, (dy, x, weight)))  # sets up the binding
    counts = cupy.counts
    given = linear_backward_cuda(*map(cupy.asarray, (dy, x, weight)), into=places)
    made = cupy.counts - counts
    assert all(a is b for a, b in zip(given, places, strict=True))
    assert made.products == 2 and (not fused or made.launches == 2 + started[2]), "dx, dweight with dbias"
    exact = [array.astype(np.float64) for array in (dy, x, weight)]
    expected = zip(places, linear_backward(*exact), linear_backward(*map(abs, exact)), dtypes, before, strict=True)
    for place, theirs, scale, kind, old in expected:
        close(place.array.get(), theirs + old, scale + abs(old), 34, kind)


def test_what_is_not_needed_is_not_computed(cupy):
    x, weight, dy = (cupy.asarray(normal(shape, "float32", 1)) for shape in ((4, 8), (8, 16), (4, 16)))
    for needs in [(True, False, False), (False, True, False), (False, False, True), (False, True, True)]:
        before = cupy.counts
        grads = linear_backward_cuda(dy, x, weight, needs=needs)
        assert tuple(g is not None for g in grads) == needs
        assert (cupy.counts - before).products == needs[0] + needs[1]
    dbias = linear_backward_cuda(dy, x, weight, needs=(False, False, True))[2]
    np.testing.assert_allclose(dbias.get(), dy.get().sum(axis=0), rtol=1e-5)


def test_a_place_that_cublaslt_cannot_write_to_is_left_to_the_engine(cupy):
    x, weight, dy = (cupy.asarray(normal(shape, "float32", 1)) for shape in ((4, 8), (8, 16), (4, 16)))
    place = Place(cupy.zeros((16, 8), "float32").T, True)
    dx, dweight, dbias = linear_backward_cuda(dy, x, weight, into=(None, place, None))
    assert dweight is not place and dweight.shape == (8, 16) and (place.array.get() == 0).all()


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 8)])
def test_of_no_rows_nothing_comes_and_the_gradient_is_zero(shape, cupy):
    x, weight, bias = (cupy.ones(s, "float32") for s in (shape, (8, 3), (3,)))
    y, saved = linear_forward_cuda(x, weight, bias)
    dx, dweight, dbias = linear_backward_cuda(y, *saved)
    assert y.shape == (*shape[:-1], 3) and dx.shape == shape
    assert (dweight.get() == 0).all() and (dbias.get() == 0).all()
