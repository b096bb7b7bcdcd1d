"""What must hold for an op on a case. Each check raises AssertionError with the worst entry and both values."""

from dataclasses import dataclass

import numpy as np
import torch

from tinyllm import Tensor, gradcheck
from tinyllm.autograd import OPS, gradients

BOUND = {"float64": 1e-12, "float32": 1e-5}  # of the largest entry of the tensor
# The entries that go in are of size 1. A float32 gradient whose every entry is below 0.1 is what is left when such
# numbers cancel, as they do now and then in the sum over a broadcast axis: then the bound is 1e-5 of 0.1.
FLOOR = {"float64": 1e-6, "float32": 0.1}


@dataclass
class Run:
    """y and the gradients of one op or function, by input; dy is the upstream gradient they were made with."""

    y: np.ndarray
    grads: list


def cast(x, dtype):
    return x if x is None or x.dtype.kind != "f" else x.astype(dtype)


def upstream(y, seed=1):
    """A random dy: the gradient of a mere sum is blind (that of softmax would be 0 whatever the backward does)."""
    return np.asarray(np.random.default_rng([seed, 20]).standard_normal(y.shape)).astype(y.dtype)


def run(function, case, dtype="float64", dy=None):
    """Through the engine: function is an Op, or anything that takes Tensors and the case's options."""
    inputs = [x if x is None else Tensor(cast(x, dtype), requires_grad=x.dtype.kind == "f") for x in case.inputs]
    y = function(*inputs, **case.options)
    grads = gradients(y, upstream(y) if dy is None else dy)
    return Run(y.data, [None if x is None or not x.requires_grad else grads.get(x) for x in inputs])


def run_torch(case, dtype="float64"):
    inputs = [x if x is None else torch.tensor(cast(x, dtype), requires_grad=x.dtype.kind == "f") for x in case.inputs]
    y = case.reference(*inputs)
    y.backward(torch.from_numpy(upstream(y.detach().numpy())))
    return Run(y.detach().numpy(), [None if x is None or not x.requires_grad else x.grad.numpy() for x in inputs])


def error(ours, theirs, floor=1e-6):
    """The largest difference over the largest entry (or over `floor` where all entries are smaller)."""
    assert ours.shape == theirs.shape, f"shape {ours.shape}, expected {theirs.shape}"
    if ours.size == 0:
        return 0.0
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0, np.abs(ours - theirs))
    finite = np.abs(theirs[np.isfinite(theirs)])
    return float(difference.max() / max(float(finite.max(initial=0)), floor))


def assert_close(what, ours, theirs, bound, floor=1e-6):
    worst = error(ours, theirs, floor)
    if not worst <= bound:
        with np.errstate(invalid="ignore"):
            at = np.unravel_index(np.nan_to_num(np.abs(ours - theirs), nan=np.inf).argmax(), ours.shape)
        at = tuple(map(int, at))
        raise AssertionError(f"{what}: error {worst:.2e} > {bound:.0e}, worst at {at}: {ours[at]!r}, "
                             f"expected {theirs[at]!r}")


def assert_same_run(name, ours, theirs, bound, floor=1e-6):
    assert_close(f"{name} value", ours.y, theirs.y, bound, floor)
    for i, (a, b) in enumerate(zip(ours.grads, theirs.grads)):
        assert (a is None) == (b is None), f"{name}: gradient {i} is {'missing' if a is None else 'there'}"
        if a is not None:
            assert_close(f"{name} gradient {i}", a, b, bound, floor)


def check_torch(name, case, dtype):
    ours, theirs = run(OPS[name], case, dtype), run_torch(case, dtype)
    for array in [ours.y, *ours.grads]:
        assert array is None or array.dtype == dtype, f"{name}: {array.dtype} in a {dtype} path"
    assert_same_run(f"{name} {dtype}", ours, theirs, BOUND[dtype], FLOOR[dtype])


def check_numeric(name, case):
    if not case.smooth:
        return  # a finite difference would see another derivative on each side
    result = gradcheck(lambda *inputs: OPS[name](*inputs, **case.options), *case.inputs)
    assert result, f"{name}: {result}"


def check_contract(name, case):
    """Inputs and dy untouched, one gradient an array in its shape, linear in dy, the second run equal to the first."""
    op = OPS[name]
    arrays = [None if x is None else x.copy() for x in case.inputs]
    for array in arrays:
        if array is not None:
            array.setflags(write=False)
    y, saved = op.forward(*arrays, **case.options)
    y = np.asarray(y)
    assert isinstance(saved, tuple), f"{name}_forward must give a tuple of saved values"
    dy1, dy2 = upstream(y, 1), upstream(y, 2)
    results = []
    for dy in (dy1, dy2, 2 * dy1 - 3 * dy2, dy1):
        dy = np.asarray(dy)
        dy.setflags(write=False)
        grads = op.backward(dy, *saved)
        results.append(grads if isinstance(grads, tuple) else (grads,))
    for i, (x, g1, g2, g3, again) in enumerate(zip(arrays, *results, strict=True)):
        if x is None:
            continue
        if x.dtype.kind != "f":
            assert g1 is None, f"{name}: array {i} holds {x.dtype}, its gradient must be None"
            continue
        assert g1.shape == x.shape, f"{name}: gradient {i} is {g1.shape}, the array {x.shape}"
        assert_close(f"{name} gradient {i}, linear in dy", g3, 2 * g1 - 3 * g2, 1e-11, floor=1e-3)
        assert np.array_equal(g1, again, equal_nan=True), f"{name}: a second backward differs"


def check_needs(name, case):
    """A backward that takes `needs` leaves out what nobody needs, and nothing else changes."""
    op = OPS[name]
    y, saved = op.forward(*case.inputs, **case.options)
    dy = upstream(np.asarray(y))
    everything = op.backward(dy, *saved)
    for i, x in enumerate(case.inputs):
        only = op.backward(dy, *saved, needs=tuple(j == i for j in range(len(case.inputs))))
        asked = [j == i and (x is None or x.dtype.kind == "f") for j in range(len(case.inputs))]
        assert [g is not None for g in only] == asked, f"{name}: asked for gradient {i} alone"
        assert x is None or np.array_equal(only[i], everything[i]), f"{name}: gradient {i} differs when asked for alone"
