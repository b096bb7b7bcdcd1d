"""The same example through somebody's op and through tinyllm's: what came back, and what should have."""

import inspect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..checking import Example, array_names

WIDENED = ": zeros(shape) and np.sqrt(2) make float64, zeros(shape, dy.dtype) and math.sqrt(2) keep what there is"
CLOSE = 1e-9  # of the largest entry: what rounding can do, to a formula that is right


@dataclass(frozen=True)
class Comparison:
    """One gradient on one example, by an upstream gradient dy. narrow: theirs where all arrays are float32.

    rights: every gradient of this example, by name; saved: what tinyllm's forward remembered, by name.
    """

    name: str
    index: int
    example: Example
    dy: np.ndarray
    saved: dict
    rights: dict
    theirs: np.ndarray | None
    narrow: np.ndarray | None

    @property
    def ours(self):
        return self.rights[self.name]

    @property
    def x(self):
        """The array whose gradient this is."""
        return self.example.inputs[self.index]

    @cached_property
    def wrong_entries(self):
        scale = max(float(np.abs(self.ours).max(initial=0)), 1e-6)
        return ~(np.abs(self.theirs - self.ours) <= CLOSE * scale)  # nan is wrong

    @property
    def first_wrong(self):
        """The index of the first wrong entry."""
        return tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(self.wrong_entries)))[: self.ours.ndim]

    @property
    def error(self):
        """The largest difference."""
        return float(np.abs(self.theirs - self.ours).max(initial=0))

    @property
    def is_none(self):
        return self.theirs is None and self.ours is None

    @property
    def is_exact(self):
        return self.is_none or (not self.misfit and np.array_equal(self.theirs, self.ours))

    @property
    def is_right(self):
        return self.is_none or not (self.misfit or self.wrong_entries.any())

    @property
    def misfit(self):
        """Why it cannot even be compared, or ""."""
        array = self.name.removeprefix("d")
        if self.is_none:
            return ""
        if self.theirs is None:
            return f"it is None; {array} has a gradient"
        if self.ours is None:
            return f"it must be None: {array} holds {self.x.dtype}, which no small step can change"
        if self.theirs.shape != self.ours.shape:
            return f"it has the shape {self.theirs.shape}, {array} has {self.ours.shape}"
        for dtype, grad in (("float64", self.theirs), ("float32", self.narrow)):
            if grad.dtype != dtype:
                widened = WIDENED if grad.dtype == "float64" else ""
                return f"it is {grad.dtype} where all arrays are {dtype}{widened}"
        return ""


def compare(theirs, ours, example):
    """A Comparison for each array of an example that is not left out."""
    names = array_names(ours, example)
    y, saved, dy, right = _run(ours, example)
    their_y, their_saved, _, grads = _run(theirs, example)
    if not np.array_equal(y, their_y, equal_nan=True):
        raise ValueError(f"{ours.__name__}_forward is not tinyllm's any more: it gives another result. Put it back")
    narrow = _run(theirs, example, "float32")[3]
    for returned in (grads, narrow):
        _check_count(theirs, returned, names)
    if "needs" in theirs.asks:
        _check_needs(theirs, dy, their_saved, grads)
    rights = {f"d{name}": grad for name, grad in zip(names, right)}
    remembered = dict(zip(list(inspect.signature(ours.backward).parameters)[1:], saved))
    return [
        Comparison(f"d{name}", i, example, dy, remembered, rights, grads[i], narrow[i])
        for i, name in enumerate(names)
        if example.inputs[i] is not None
    ]


def _run(op, example, dtype="float64"):
    """y, what was saved, dy, and the gradients of one op. Nothing that the backward is given can be written to."""
    arrays = [x if x is None else _frozen(x.astype(dtype) if x.dtype.kind == "f" else x.copy()) for x in example.inputs]
    y, saved = op.forward(*arrays, **example.options)
    for value in saved:
        _frozen(value)
    y = np.asarray(y)
    dy = _frozen(np.asarray(np.random.default_rng(y.size).standard_normal(y.shape)).astype(dtype))
    return y, saved, dy, _gradients(op.backward(dy, *saved))


def _frozen(x):
    if isinstance(x, np.ndarray):
        x.setflags(write=False)
    return x


def _gradients(returned):
    if isinstance(returned, list):
        raise ValueError("the backward gave a list: return a tuple, with one gradient for each array")
    returned = returned if isinstance(returned, tuple) else (returned,)
    return tuple(None if grad is None else np.asarray(grad) for grad in returned)


def _check_count(op, grads, names):
    if len(grads) == 1 and grads[0] is None:
        raise ValueError(f"{op.__name__}_backward returned nothing: its last line must return the gradients")
    if len(grads) != len(names):
        raise ValueError(f"{op.__name__}_backward gave {len(grads)} gradients, and there are {len(names)} arrays "
                         f"({', '.join(names)}): return one for each, in this order")  # fmt: skip


def _check_needs(op, dy, saved, grads):
    """Asked for one gradient alone, it must give that one as before."""
    for i, grad in enumerate(grads):
        alone = _gradients(op.backward(dy, *saved, needs=tuple(j == i for j in range(len(grads)))))
        if grad is not None and (alone[i] is None or not np.array_equal(alone[i], grad)):
            raise ValueError(f"{op.__name__}_backward gives another d{op.names[i]} where needs asks for it alone")


def finite_difference(op, comparison, eps=1e-5):
    """How much the loss changes along a random direction u of the array: (by the forward, by their gradient)."""
    u = np.random.default_rng(0).standard_normal(comparison.x.shape)
    inputs = list(comparison.example.inputs)

    def loss(step):
        inputs[comparison.index] = comparison.x + step * u
        return float((op.forward(*inputs, **comparison.example.options)[0] * comparison.dy).sum())

    return (loss(eps) - loss(-eps)) / (2 * eps), float((comparison.theirs * u).sum())
