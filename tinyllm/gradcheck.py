"""Is a backward right? Ask the forward: how much does the output move when the inputs move a little?

    (f(x + ε u) − f(x − ε u)) / 2ε  ·  dy   =   dx · u        for a random direction u and a random upstream dy

One direction tests every entry of the gradient at once: a wrong one goes unseen only with probability 0.
"""

from dataclasses import dataclass

import numpy as np

from .autograd import gradients
from .backend import backend_of, to, to_numpy
from .methods import Tensor


@dataclass(frozen=True)
class GradcheckResult:
    """numeric and analytic: the two sides of the equation; error: their difference over the size of the terms."""

    numeric: float
    analytic: float
    error: float
    tolerance: float

    def __bool__(self):
        return self.error <= self.tolerance


def gradcheck(f, *inputs, eps=1e-5, tolerance=1e-7, seed=0):
    """Compare the backward of f(*inputs) with finite differences, in float64, where the inputs are.

    f: an op, or any function of Tensors that returns one (options go in a lambda: `lambda x: softmax(x, axis=0)`).
    inputs: Tensors or arrays; the floating-point ones are moved. The result is true where the two agree, and shows
    both numbers where they do not.
    """
    rng = np.random.default_rng(seed)
    inputs = [x if isinstance(x, Tensor) or x is None else Tensor(x) for x in inputs]
    arrays = [None if x is None else to_numpy(x.data) for x in inputs]
    place = next((backend_of(x.data) for x in inputs if x is not None), "numpy")
    moved = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]
    if not moved:
        raise ValueError("gradcheck needs at least one floating-point input")
    direction = {i: np.asarray(rng.standard_normal(arrays[i].shape)) for i in moved}

    def evaluate(step, requires_grad=False):
        xs = [a.astype(np.float64) + step * direction[i] if i in direction else a for i, a in enumerate(arrays)]
        xs = [None if x is None else Tensor(to(x, place), requires_grad and i in direction) for i, x in enumerate(xs)]
        return xs, f(*xs)

    xs, y = evaluate(0.0, requires_grad=True)
    dy = np.asarray(rng.standard_normal(y.shape))
    grads = gradients(y, to(dy, place))
    terms = [direction[i] * to_numpy(grads[xs[i]]) for i in moved if xs[i] in grads]
    analytic = float(sum(term.sum() for term in terms))
    y, above, below = (to_numpy(tensor.data) for tensor in (y, evaluate(eps)[1], evaluate(-eps)[1]))
    changes = (above - below) / (2 * eps) * dy
    numeric = float(changes.sum())
    rounding = 1e-3 * float(abs(y * dy).max(initial=0))  # the difference of two y knows nothing smaller
    size = max(1e-8, rounding, _length(changes), *map(_length, terms))
    return GradcheckResult(numeric, analytic, abs(numeric - analytic) / size, tolerance)


def _length(x):
    return float(np.sqrt((x * x).sum()))
