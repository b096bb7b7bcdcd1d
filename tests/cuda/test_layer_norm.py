"""layer_norm.cu against the plain op: odd sizes, many blocks, extreme rows; into places; float32 and bfloat16."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cuda.checks import BOUND, DTYPES, check_kernel, expected, host
from tests.op_cases import MAKERS, Case, HypothesisChooser
from tests.op_checks import assert_close
from tests.ops.test_extreme_values import LAYER_NORM_ROWS
from tinyllm import Tensor, ops
from tinyllm.autograd import OPS, gradients

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def case(*shape, **options):
    C = shape[-1]
    return Case([normal(*shape), normal(C), normal(C, seed=1)], None, options)


def check(cupy):
    """Several rounds of a block, whose threads are 32 or more columns by several groups; several blocks."""
    check_kernel("layer_norm", case(70, 65), "float32")
    check_kernel("layer_norm", case(70, 24), "float32")


@both
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 65), (70, 24), (9, 768), (2, 4100), (0, 7), (7,)], ids=str)
def test_equals_the_op(shape, dtype, cupy):
    check_kernel("layer_norm", case(*shape), dtype)


@both
def test_equals_the_op_on_its_own_cases(dtype, cupy):
    def of_shape(drawn):
        if drawn.inputs[0].ndim:
            check_kernel("layer_norm", drawn, dtype)

    cases = st.composite(lambda draw: MAKERS["layer_norm"](HypothesisChooser(draw, st)))()
    settings(max_examples=30)(given(cases)(of_shape))()


@both
@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_without_weight_or_bias(weight, bias, dtype, cupy):
    x, w, b = case(11, 40, eps=1e-3).inputs
    check_kernel("layer_norm", Case([x, w if weight else None, b if bias else None], None, {"eps": 1e-3}), dtype)


@pytest.mark.parametrize("row", LAYER_NORM_ROWS.values(), ids=LAYER_NORM_ROWS.keys())
def test_extreme_rows(row, cupy):
    x, bound = row
    C = x.shape[1]
    rows = Case([x, np.linspace(0.5, 2, C), np.linspace(-1, 1, C)], None)
    check_kernel("layer_norm", rows, "float32", bound["float32"], floor=1)


def test_large_numbers_and_one_that_is_not_finite(cupy):
    """Each row is by itself: what a NaN does to its row, it does to no other."""
    x = 1e4 * normal(5, 40)
    x[2, 3] = np.nan
    there = Tensor(cupy.asarray(x.astype("f4")), requires_grad=True)
    y = ops.layer_norm(there)
    dx = gradients(y, cupy.asarray(normal(5, 40).astype("f4")))[there].get()
    for array in (y.data.get(), dx):
        assert np.isnan(array[2]).all() and np.isfinite(np.delete(array, 2, axis=0)).all()


@both
@pytest.mark.parametrize("change", [lambda x: x[1:], lambda x: x[:, ::2], lambda x: x.T, lambda x: x[:, 1:]],
                         ids=["rows", "every second", "transposed", "misaligned"])  # fmt: skip
def test_arrays_of_any_layout(change, dtype, cupy):
    """Views, and weights that begin where no pack does, as in a vector of all parameters."""
    x = cupy.asarray(normal(16, 16).astype(DTYPES[dtype]))
    view = change(x)
    C = view.shape[-1]
    vector = cupy.asarray(normal(2 * C + 3).astype(DTYPES[dtype]))
    inputs = view, vector[1 : C + 1], vector[C + 3 :]
    y = ops.layer_norm(*(Tensor(a, requires_grad=True) for a in inputs))
    exact, _ = expected("layer_norm", Case([host(a) for a in inputs], None), dtype)
    assert_close("y", host(y.data), exact, BOUND[dtype])


def test_dx_is_added_to_the_gradient_of_the_residual(cupy, monkeypatch):
    """x + f(layer_norm(x)): the gradient that came by the residual is there when dx is written, and takes it in."""
    pair, places = OPS["layer_norm"].kernels["cupy"], []

    def backward(*saved, needs, into):
        places.append(into[0])
        return pair.backward(*saved, needs=needs, into=into)

    monkeypatch.setitem(OPS["layer_norm"].kernels, "cupy", pair._replace(backward=backward))

    def dx(inputs, dy):
        leaf, weight, bias = (Tensor(a, requires_grad=True) for a in inputs)
        x = leaf * 1.0
        y = (x + ops.layer_norm(x, weight, bias) * 3.0) * 2.0
        return gradients(y, dy)[leaf]

    inputs, dy = [a.astype("f4") for a in case(6, 40).inputs], normal(6, 40).astype("f4")
    ours = dx([cupy.asarray(a) for a in inputs], cupy.asarray(dy))
    assert len(places) == 1 and places[0].started
    assert_close("dx", ours.get(), dx(inputs, dy), 1e-5)


def test_needs(cupy):
    x, w, b = (cupy.asarray(a.astype("f4")) for a in case(6, 40).inputs)
    pair = OPS["layer_norm"].kernels["cupy"]
    y, saved = pair.forward(x, w, b)
    everything = pair.backward(y, *saved)
    for i in range(3):
        only = pair.backward(y, *saved, needs=tuple(j == i for j in range(3)))
        assert [g is not None for g in only] == [j == i for j in range(3)]
        assert np.array_equal(only[i].get(), everything[i].get())


def test_what_it_is_not_for_runs_as_the_op(cupy):
    x = Tensor(cupy.asarray(normal(3, 4)), requires_grad=True)
    assert ops.layer_norm(x).node.pair is OPS["layer_norm"]


@pytest.mark.parametrize("inputs", [[(2, 3), (4,), None], [(2, 3), (3,), (1,)], [(2, 3), (2, 3), None]], ids=str)
def test_wrong_shapes_are_refused(inputs, cupy):
    arrays = [s if s is None else cupy.asarray(normal(*s).astype("f4")) for s in inputs]
    with pytest.raises(ValueError, match=r"layer_norm: (weight|bias) must be \(3,\), as the last axis of x \(2, 3\)"):
        ops.layer_norm(*arrays)
