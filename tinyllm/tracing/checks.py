"""Is each backward step of a recording right? Asked of finite differences, and of torch where it is installed.

The recorded step ran in float32. For finite differences its op is run again, alone, in float64, on the inputs and the
upstream gradient that were recorded: so a wrong backward is found out by itself and does not blacken the ops after it.
"""

from dataclasses import dataclass

import numpy as np

from . import torch_values

EPS = 1e-5
ALL, SAMPLE = 2000, 256  # up to so many entries are all checked, of more this many are drawn
TOLERANCE = 1e-6  # of a float64 backward against finite differences
FLOAT32 = 1e-4  # of what was recorded in float32 against the same in float64, or against torch


@dataclass(frozen=True)
class Check:
    """How far two gradients are apart: error is the largest difference over the largest entry, at index `worst`."""

    ok: bool
    error: float
    worst: tuple
    ours: float
    theirs: float
    entries: int
    of: int


def check_steps(trace, with_torch=True):
    """{index of a backward step: {"differences": Check, "torch": Check}}, the second one where torch has it.

    A step is left out whose op got NaN or infinities, or made them: there are no slopes there. A backward that makes
    them of finite numbers is wrong.
    """
    with_torch = with_torch and torch_values.installed()
    found, gradients, of_call = {}, {}, {}
    for i, step in enumerate(trace.steps):
        if step.phase in ("seed", "backward"):
            gradients[step.value] = step.after
        if step.phase != "backward":
            continue
        call = step.call
        if call.id not in of_call:
            of_call[call.id] = Rerun(call, gradients.get(call.output), with_torch)
        found[i] = of_call[call.id].checks(step)
    return {i: checks for i, checks in found.items() if checks}


class Rerun:
    """One call again: its backward in float64, and torch's."""

    def __init__(self, call, dy, with_torch):
        self.call = call
        recorded = [None if value is None else value.array for value in call.inputs]
        self.inputs = [as_float64(x) for x in recorded]
        self.dy = as_float64(dy)
        self.finite = all(x is None or np.isfinite(x).all() for x in (*self.inputs, self.dy))
        if not self.finite:
            return
        with np.errstate(all="ignore"):
            self.y, saved = call.op.forward(*self.inputs, **call.options)
            grads = call.op.backward(self.dy, *saved)
        self.grads = grads if isinstance(grads, tuple) else (grads,)
        self.finite = np.isfinite(self.y).all()
        if not self.finite:
            return
        self.size_of_terms = float(np.abs(self.y * self.dy).max(initial=0))
        self.torch = torch_values.gradients(call.op.__name__, recorded, call.options, dy) if with_torch else None

    def checks(self, step):
        if not self.finite:
            return {}
        ours, slopes = self.grads[step.wrt], {}
        for index in chosen_entries(ours.shape):
            slope = self.slope(step.wrt, index)
            if slope is not None:
                slopes[index] = slope
        # where a gradient is 0, what is left of it is the rounding of the terms that cancelled
        rounding, rounding32 = 1e-4 * self.size_of_terms, 1e-2 * self.size_of_terms
        differences = compare(ours, slopes, TOLERANCE, rounding)
        recorded = compare(step.share, {index: ours[index] for index in slopes}, FLOAT32, rounding32)
        found = {"differences": differences if recorded.ok or not differences.ok else recorded}
        if self.torch is not None and self.torch[step.wrt] is not None:
            theirs = dict(np.ndenumerate(self.torch[step.wrt]))
            found["torch"] = compare(step.share, theirs, FLOAT32, rounding32)
        return found

    def slope(self, wrt, index):
        """How much the loss moves with one number: (f(x + ε) − f(x − ε)) / 2ε with f = Σ y · dy.

        None at a kink, where it moves differently to the left and to the right: there is no slope.
        """
        x, y = self.inputs[wrt], self.y.copy()  # a copy: y may be a view of x
        number, ends = x[index], []
        with np.errstate(all="ignore"):
            for moved in (number + EPS, number - EPS):
                x[index] = moved
                ends.append(np.array(self.call.op.forward(*self.inputs, **self.call.options)[0]))
            x[index] = number
            right, left = (float(((end - y) * self.dy).sum()) / EPS for end in (ends[0], 2 * y - ends[1]))
            slope = float(((ends[0] - ends[1]) * self.dy).sum()) / (2 * EPS)
        is_kink = abs(right - left) > max(1e-2 * max(abs(right), abs(left)), 1e-3 * self.size_of_terms)
        return None if is_kink or not np.isfinite(slope) else slope


def compare(ours, theirs, tolerance, floor=0.0):
    """The Check of an array against {index: number}, what somebody else has there."""
    if not theirs:
        return Check(True, 0.0, (), 0.0, 0.0, 0, int(np.size(ours)))
    entries = list(theirs)
    at, others = np.array([ours[index] for index in entries], np.float64), np.array([*theirs.values()], np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where(at == others, 0, np.abs(at - others))
    difference[np.isnan(difference)] = np.inf
    worst = int(np.argmax(difference))
    size = max(float(np.abs(x[np.isfinite(x)]).max(initial=0)) for x in (at, others))
    error = float(difference[worst]) / max(size, floor, 1e-30)
    index = tuple(int(i) for i in entries[worst])
    return Check(error <= tolerance, error, index, float(at[worst]), float(others[worst]), at.size, int(np.size(ours)))


def chosen_entries(shape):
    """All indices of an array, or a sample of them: the same ones each time."""
    size = int(np.prod(shape))
    flat = range(size) if size <= ALL else np.sort(np.random.default_rng(0).choice(size, SAMPLE, replace=False))
    return [tuple(int(i) for i in np.unravel_index(i, shape)) for i in flat]


def as_float64(x):
    """A copy in float64; integers, booleans and None as they are."""
    return np.array(x, np.float64) if x is not None and x.dtype.kind == "f" else x
