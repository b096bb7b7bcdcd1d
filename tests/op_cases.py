"""For every op: examples to hold it against torch, finite differences and its definition on.

A maker takes a `Chooser` (hypothesis or a plain seed decides) and gives a Case. The tests, the mutation run and
`benchmarks/parity.py` all use these, so an op has one list of examples.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

import reference.ops


@dataclass
class Case:
    """inputs: arrays in float64 (or integers, booleans, None); reference: the same computation on torch tensors.

    smooth: whether there is a derivative here; where entries are equal, max has none, only torch's convention.
    """

    inputs: list
    reference: Callable
    options: dict = field(default_factory=dict)
    smooth: bool = True


class Chooser:
    """Draws shapes and options from a seed; `HypothesisChooser` draws them from hypothesis. Values are normal."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def choice(self, options):
        return options[self.integer(0, len(options) - 1)]

    def shape(self, low=0, high=3):
        return tuple(self.integer(1, 5) for _ in range(self.integer(low, high)))

    def repeatable(self, full):
        """A shape that broadcasts to `full`."""
        return tuple(self.choice([1, n]) for n in full[self.integer(0, len(full)) :])

    def broadcast(self, count=2):
        """Shapes that broadcast against each other; any of them may be the full one."""
        full = self.shape()
        shapes = [self.repeatable(full) for _ in range(count - 1)]
        shapes.insert(self.integer(0, count - 1), full)
        return shapes

    def normal(self, *shape):
        return np.asarray(self.rng.standard_normal(shape))

    def away_from(self, x, kink, distance=1e-2):
        """x without the values so close to a kink that a finite difference would step over it."""
        return np.asarray(np.where(abs(x - kink) < distance, x + 2 * distance, x))

    def indices(self, shape, n):
        return self.rng.integers(0, n, shape)

    def axis(self, ndim):
        return self.choice([None, (0, -1)[:ndim], *range(-ndim, ndim)])


class HypothesisChooser(Chooser):
    def __init__(self, draw, strategies):
        self.draw, self.st = draw, strategies
        super().__init__(draw(strategies.integers(0, 2**32 - 1)))

    def integer(self, low, high):
        return self.draw(self.st.integers(low, high))


def _binary(reference, prepare=lambda c, a, b: (a, b)):
    def make(c):
        return Case(list(prepare(c, *(c.normal(*shape) for shape in c.broadcast()))), reference)

    return make


def _unary(reference, prepare=lambda c, x: x):
    return lambda c: Case([prepare(c, c.normal(*c.shape()))], reference)


def _positive(c, x):
    return np.abs(x) + 0.1


def _not_in_the_tail(c, x):
    """Far below 0, 1 + tanh u and 1 + erf cancel, here and in torch: the extreme values have their own bound."""
    return np.clip(2 * x, -2.5, 5)


def _maximum(c):
    a, b = (np.asarray(np.round(c.normal(*shape), 1)) for shape in c.broadcast())
    if c.choice([True, False]):
        return Case([a, a.copy()], torch.maximum, smooth=False)
    return Case([a, b + 0.05], torch.maximum)  # no ties, and both keep their shapes


def _reduction(reference, min_size=1):
    def make(c):
        x = c.normal(*(n + min_size - 1 for n in c.shape(1, 4)))
        axis, keepdims = c.axis(x.ndim), c.choice([False, True])
        return Case([x], lambda x: reference(x, axis, keepdims), {"axis": axis, "keepdims": keepdims})

    return make


def _torch_axis(x, axis):
    return tuple(range(x.ndim)) if axis is None else axis


def _var(c):
    x = c.normal(*(n + 1 for n in c.shape(1, 4)))
    axis, keepdims, correction = c.axis(x.ndim), c.choice([False, True]), c.choice([0, 1])
    options = {"axis": axis, "keepdims": keepdims, "correction": correction}
    return Case([x], lambda x: torch.var(x, _torch_axis(x, axis), keepdim=keepdims, correction=correction), options)


def _max(c):
    shape = c.shape(1, 4)
    x = c.rng.permutation(np.arange(np.prod(shape))).reshape(shape) * 0.5  # far enough apart
    if ties := c.choice([True, False]):
        x = np.zeros(shape)
    options = {"axis": c.axis(x.ndim), "keepdims": c.choice([False, True])}
    axis = _torch_axis(x, options["axis"])
    return Case([x], lambda x: torch.amax(x, axis, options["keepdims"]), options, smooth=not ties)


def _power(c):
    a, b = (c.normal(*shape) for shape in c.broadcast())
    if c.choice([True, False]):
        zeros = c.rng.random(a.shape) < 0.3
        return Case([np.asarray(np.where(zeros, 0, np.abs(a))), np.abs(np.round(b))], torch.pow, smooth=False)  # 0⁰, 0¹
    return Case([np.abs(a) + 0.1, c.choice([b, np.zeros_like(b), np.full_like(b, 2.0)])], torch.pow)


def _where(c):
    condition, a, b = (c.normal(*shape) for shape in c.broadcast(3))
    return Case([condition > 0, a, b], torch.where)


def _clip(c):
    low, high = c.choice([(-0.5, 0.5), (None, 0.3), (-0.2, None)])
    x = c.normal(*c.shape())
    for bound in (low, high):
        x = x if bound is None else c.away_from(x, bound)
    return Case([x], lambda x: torch.clamp(x, low, high), {"min": low, "max": high})


def _matmul(c):
    n, k, m = c.integer(1, 6), c.integer(1, 6), c.integer(1, 6)
    batch_a, batch_b = c.choice([((), ()), ((3,), ()), ((), (2,)), ((2, 1), (3,)), ((2, 3), (2, 3)), ((1,), (4,))])
    a, b = c.normal(*batch_a, n, k), c.normal(*batch_b, k, m)
    if c.choice([0, 0, 1]):
        a = c.normal(k)
    if c.choice([0, 0, 1]):
        b = c.normal(k)
    return Case([a, b], torch.matmul)


def _linear(c):
    i, o = c.integer(1, 7), c.integer(1, 7)
    x, weight = c.normal(*c.shape(1, 3), i), c.normal(i, o)
    bias = c.choice([c.normal(o), None])
    return Case([x, weight, bias], reference.ops.linear)


def _reshape(c):
    x = c.normal(c.integer(1, 4), c.integer(1, 4), 6)
    shape = c.choice([(6, -1), (-1,), (2, -1, 3)])
    return Case([x], lambda x: x.reshape(shape), {"shape": shape})


def _transpose(c):
    x = c.normal(*c.shape(2, 4))
    axis0, axis1 = c.integer(-x.ndim, x.ndim - 1), c.integer(-x.ndim, x.ndim - 1)
    return Case([x], lambda x: x.transpose(axis0, axis1), {"axis0": axis0, "axis1": axis1})


def _permute(c):
    x = c.normal(*c.shape(1, 4))
    axes = tuple(int(i) - c.choice([0, x.ndim]) for i in c.rng.permutation(x.ndim))
    return Case([x], lambda x: x.permute(axes), {"axes": axes})


def _broadcast_to(c):
    full = c.shape()
    return Case([c.normal(*c.repeatable(full))], lambda x: x.broadcast_to(full), {"shape": full})


def _getitem(c):
    x = c.normal(c.integer(2, 6), c.integer(2, 5), 3)
    rows, columns = c.indices((4,), x.shape[0]), c.indices((4,), x.shape[1])
    index = c.choice([1, -1, slice(0, 2), (slice(None), 1), (..., 0), (0, slice(None, None, 2)), None, rows,
                      (rows, columns), (slice(None), columns), x[..., 0] > 0, (rows, slice(1, None))])  # fmt: skip

    def as_torch(part):
        return torch.from_numpy(part) if isinstance(part, np.ndarray) else part

    parts = tuple(map(as_torch, index)) if isinstance(index, tuple) else as_torch(index)
    return Case([x], lambda x: x[parts], {"index": index})


def _cat(c):
    shape, axis = c.shape(1, 3), c.integer(0, 2)
    axis = axis % len(shape) - c.choice([0, len(shape)])
    xs = [c.normal(*(c.integer(1, 4) if i == axis % len(shape) else n for i, n in enumerate(shape))) for _ in range(3)]
    return Case(xs, lambda *xs: torch.cat(xs, axis), {"axis": axis})


def _stack(c):
    shape = c.shape(0, 3)
    axis = c.integer(-len(shape) - 1, len(shape))
    return Case([c.normal(*shape) for _ in range(3)], lambda *xs: torch.stack(xs, axis), {"axis": axis})


def _embedding(c):
    weight = c.normal(c.integer(1, 6), c.integer(1, 5))
    return Case([c.indices(c.shape(0, 3), len(weight)), weight], F.embedding)  # few rows: ids repeat


def _softmax(reference):
    def make(c):
        x = c.normal(*(n + 1 for n in c.shape(1, 4))) * 3
        axis = c.integer(-x.ndim, x.ndim - 1)
        return Case([x], lambda x: reference(x, axis), {"axis": axis})

    return make


def _layer_norm(c):
    C = c.integer(4, 9)
    x, weight, bias = c.normal(*c.shape(0, 3), C) * 2 + 1, c.normal(C), c.normal(C)
    weight, bias = c.choice([(weight, bias), (weight, bias), (weight, None), (None, None)])
    eps = c.choice([1e-5, 1e-2])
    return Case([x, weight, bias], lambda x, weight, bias: F.layer_norm(x, (C,), weight, bias, eps), {"eps": eps})


def _dropout(c):
    x, p = c.normal(*c.shape()), c.choice([0.1, 0.5, 0.0])
    keep = np.asarray(c.rng.random(x.shape) >= p)
    return Case([x, keep], lambda x, keep: reference.ops.dropout(x, keep, p), {"p": p})


def _causal_attention(c):
    B, T, H, D = c.integer(1, 3), c.integer(1, 6), c.integer(1, 3), c.integer(1, 5)
    p = c.choice([0.0, 0.3])
    keep = np.asarray(c.rng.random((B, H, T, T)) >= p) if p and c.choice([True, True, False]) else None  # evaluation

    inputs, options = [c.normal(B, T, 3 * H * D), keep], {"n_head": H, "p": p}
    return Case(inputs, lambda qkv, keep: reference.ops.causal_attention(qkv, keep, **options), options)


def _cross_entropy(c):
    n, V = c.integer(1, 6), c.integer(2, 7)
    shape = c.choice([(n, V), (n, V), (V,), (n, V, 3)])
    logits = c.normal(*shape) * 2
    targets = c.indices(shape[:0] if len(shape) == 1 else (shape[0], *shape[2:]), V)
    ignore_index = c.choice([-100, 1])
    if c.choice([True, False]) and targets.size > 1:
        targets = np.where(c.rng.random(targets.shape) < 0.3, ignore_index, targets)
        targets.flat[0] = 0
    if (targets == ignore_index).all():
        ignore_index = -100
    options = {"reduction": c.choice(["mean", "sum", "none"]), "ignore_index": ignore_index}
    return Case([logits, targets], lambda x, t: F.cross_entropy(x, t, **options), options)


def _linear_cross_entropy(c):
    n, V, C = c.integer(1, 6), c.integer(1, 7), c.integer(1, 5)
    x, weight, targets = c.normal(n, C), c.normal(V, C), c.indices((n,), V)
    ignore_index = c.choice([-100, 1])
    if c.choice([True, False]):
        targets = np.where(c.rng.random(n) < 0.3, ignore_index, targets)
    if (targets == ignore_index).all():
        targets[0] = 0
    options = {"ignore_index": ignore_index}
    return Case([x, weight, targets], lambda x, w, t: F.cross_entropy(x @ w.T, t, **options), options)


def _elementwise_loss(reference, prepare):
    def make(c):
        shape = c.shape()
        options = {"reduction": c.choice(["mean", "sum", "none"])}
        inputs = list(prepare(c, c.normal(*shape), c.normal(*shape)))
        return Case(inputs, lambda x, t: reference(x, t, **options), options)

    return make


def _probabilities(c, x, t):
    return np.asarray(1 / (1 + np.exp(-x))), np.asarray(1 / (1 + np.exp(-3 * t)))


MAKERS = {
    "add": _binary(torch.add),
    "subtract": _binary(torch.sub),
    "multiply": _binary(torch.mul),
    "divide": _binary(torch.div, lambda c, a, b: (a, np.asarray(np.where(b < 0, b - 0.3, b + 0.3)))),
    "power": _power,
    "maximum": _maximum,
    "where": _where,
    "negative": _unary(torch.neg),
    "exp": _unary(torch.exp),
    "log": _unary(torch.log, _positive),
    "sqrt": _unary(torch.sqrt, _positive),
    "abs": _unary(torch.abs, lambda c, x: c.away_from(x, 0) * (c.rng.random(x.shape) < 0.7)),
    "clip": _clip,
    "sigmoid": _unary(torch.sigmoid, lambda c, x: 3 * x),
    "tanh": _unary(torch.tanh),
    "relu": _unary(torch.relu, lambda c, x: c.away_from(x, 0)),
    "gelu_tanh": _unary(lambda x: F.gelu(x, approximate="tanh"), _not_in_the_tail),
    "gelu_erf": _unary(F.gelu, _not_in_the_tail),
    "sum": _reduction(lambda x, axis, keepdims: torch.sum(x, _torch_axis(x, axis), keepdims)),
    "mean": _reduction(lambda x, axis, keepdims: torch.mean(x, _torch_axis(x, axis), keepdims)),
    "var": _var,
    "max": _max,
    "matmul": _matmul,
    "linear": _linear,
    "reshape": _reshape,
    "transpose": _transpose,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "getitem": _getitem,
    "cat": _cat,
    "stack": _stack,
    "embedding": _embedding,
    "softmax": _softmax(torch.softmax),
    "log_softmax": _softmax(torch.log_softmax),
    "layer_norm": _layer_norm,
    "dropout": _dropout,
    "causal_attention": _causal_attention,
    "cross_entropy": _cross_entropy,
    "linear_cross_entropy": _linear_cross_entropy,
    "mse_loss": _elementwise_loss(F.mse_loss, lambda c, x, t: (x, t)),
    "binary_cross_entropy": _elementwise_loss(F.binary_cross_entropy, _probabilities),
    "binary_cross_entropy_with_logits": _elementwise_loss(
        F.binary_cross_entropy_with_logits, lambda c, x, t: (3 * x, _probabilities(c, x, t)[1])
    ),
}


def examples(name, count, seed=0):
    """`count` cases of the op, the same ones each time."""
    return [MAKERS[name](Chooser([seed, i])) for i in range(count)]
