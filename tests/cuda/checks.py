"""What must hold for a kernel: the plain op's numbers, its own bits again, nothing written that is not its own.

`check_kernel` holds a pair on the stand-in against the plain op in float64, on inputs that were rounded to the dtype.
"""

import ml_dtypes
import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them)
from tests.op_checks import assert_close, upstream
from tinyllm import Tensor
from tinyllm.autograd import OPS, Place, gradients
from tinyllm.backend import to
from tinyllm.observe import plain_ops

DTYPES = {"float32": np.dtype("float32"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
BOUND = {"float32": 2e-6, "bfloat16": 2**-8}  # of the largest entry; bfloat16 rounds by 2⁻⁹, some twice


class Sink:
    """Gives every leaf a float32 place, as an optimizer does: with ones in it, or not begun (and then poisoned)."""

    def __init__(self, started):
        self.started, self.places = started, {}

    def place(self, leaf):
        array = to(np.full(leaf.shape, 1 if self.started else np.nan, np.float32), "cupy")
        return self.places.setdefault(leaf, Place(array, self.started))

    def take(self, leaf, share):
        place = self.place(leaf)
        if share is not place:
            place.array[...] = share.astype("float32") + (1.0 if place.started else 0.0)


def rounded(x, dtype):
    """An input as an array of the dtype; ids and masks stay as they are."""
    return x if x is None or x.dtype.kind != "f" else np.asarray(x).astype(DTYPES[dtype])


def run(name, case, dtype, sink=None):
    """y and the gradients of the kernel, as float64 numpy arrays."""
    inputs = [x if x is None else Tensor(to(rounded(x, dtype), "cupy"), x.dtype.kind == "f") for x in case.inputs]
    y = OPS[name](*inputs, **case.options)
    assert y.node.pair is OPS[name].kernels["cupy"], "the plain op ran"
    dy = to(upstream(np.empty(y.shape)).astype(DTYPES[y.dtype.name]), "cupy")
    grads = gradients(y, dy, sink)
    if sink:
        grads = {leaf: place.array for leaf, place in sink.places.items()}
    return y.data, [grads.get(x) if x is not None and x.requires_grad else None for x in inputs]


def expected(name, case, dtype, y_dtype=None):
    """y and the gradients of the plain op in float64, of the same rounded inputs and dy."""
    inputs = [x if x is None else Tensor(rounded(x, dtype).astype("f8") if x.dtype.kind == "f" else x,
                                         x.dtype.kind == "f") for x in case.inputs]  # fmt: skip
    with plain_ops():
        y = OPS[name](*inputs, **case.options)
        dy = upstream(np.empty(y.shape)).astype(DTYPES[y_dtype or dtype]).astype("f8")
        grads = gradients(y, dy)
    return y.data, [grads.get(x) if x is not None and x.requires_grad else None for x in inputs]


def host(x):
    return x.get().astype("f8")


def check_kernel(name, case, dtype, bound=None, floor=0.1):
    """Values, gradients, and the gradients put into and added to places, as the plain op's; the same bits again."""
    bound = bound or BOUND[dtype]
    y, grads = run(name, case, dtype)
    exact_y, exact = expected(name, case, dtype, y.dtype.name)
    assert_close(f"{name} value", host(y), exact_y, bound, floor)
    again = run(name, case, dtype)
    assert np.array_equal(again[0].get(), y.get(), equal_nan=True), "other bits the second time"
    for started in (False, True):
        _, placed = run(name, case, dtype, Sink(started))
        for i, (ours, into, theirs, more) in enumerate(zip(grads, placed, exact, again[1], strict=True)):
            if theirs is None:
                continue
            what = f"{name} gradient {i}"
            assert_close(what, host(ours), theirs, bound, floor)
            assert np.array_equal(ours.get(), more.get(), equal_nan=True), "other bits the second time"
            assert_close(f"{what} into a place", host(into), theirs + started, bound, floor)
