"""Every op on the arrays of the GPU gives the bits it gives on numpy's, with nothing brought back."""

from contextlib import nullcontext

import numpy as np
import pytest

import tinyllm.ops  # noqa: F401  (fills OPS)
from tests.op_cases import examples
from tests.op_checks import cast, upstream
from tinyllm import Tensor
from tinyllm.autograd import OPS, gradients
from tinyllm.backend import is_array, to


def moved(x, place):
    """An array, or an index with arrays in it, on a backend."""
    if isinstance(x, tuple):
        return tuple(moved(part, place) for part in x)
    return to(x, place) if isinstance(x, np.ndarray) else x


def run(op, case, dtype, place, around=nullcontext):
    """(y, gradients, what the forward saved) of a case on a backend, as arrays of it."""
    inputs = [x if x is None else Tensor(to(cast(x, dtype), place), x.dtype.kind == "f") for x in case.inputs]
    options = {name: moved(value, place) for name, value in case.options.items()}
    with around():
        y = op(*inputs, **options)
        saved = y.node.saved
    dy = to(upstream(np.empty(y.shape, dtype)), place)
    with around():
        grads = gradients(y, dy)
    return y.data, [grads.get(x) for x in inputs if x is not None and x.requires_grad], saved


def uses_a_mask(case):
    return getattr(case.options.get("index"), "dtype", None) == np.bool_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(OPS))
def test_gives_numpys_bits_and_waits_for_nothing(name, dtype, cupy):
    for case in examples(name, 25):
        y, grads, saved = run(OPS[name], case, dtype, "cupy", nullcontext if uses_a_mask(case) else cupy.step)
        expected_y, expected_grads, _ = run(OPS[name], case, dtype, "numpy")
        for ours, theirs in zip([y, *grads], [expected_y, *expected_grads], strict=True):
            assert type(ours) is cupy.ndarray and ours.dtype == theirs.dtype
            assert np.array_equal(ours.get(), theirs, equal_nan=True)
        assert all(type(x) is cupy.ndarray for x in saved if is_array(x)), "it saved an array of the host"


def test_two_backends_in_one_process_do_not_mix(cupy):
    here, there = Tensor([1.0, 2.0], True), Tensor([1.0, 2.0], True).to("cupy")
    assert np.array_equal((here * 3).data, (there * 3).data.get())
    with pytest.raises(TypeError, match="add got cupy and numpy arrays: bring them to one backend, as with x.to"):
        here + there
    with pytest.raises(TypeError, match="dy is on numpy, the tensor on cupy"):
        (there * 3).backward(np.ones(2, np.float32))


def test_a_number_as_dy_is_made_on_the_gpu(cupy):
    x = Tensor([1.0, 2.0], requires_grad=True).to("cupy")
    with cupy.step():
        x.sum().backward(0.25)
    assert x.grad.tolist() == [0.25, 0.25] and cupy.counts.uploads == 1  # of x
