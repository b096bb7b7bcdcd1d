"""One cell as the sum that made it, with its numbers.

Backward there is one rule for all ops, the chain rule: a number of x gets from each number of y that it moves dy times
how far it moves it. Those slopes are taken from the forward alone, in float64, by finite differences, so the sum is
also a check of the cell. Forward each op has its own sum; where none is written here, its formula must do.
"""

import math
from dataclasses import dataclass

import numpy as np

from .checks import EPS, as_float64
from .recorder import Value

MOVED = ("reshape", "transpose", "permute", "broadcast_to", "getitem")
NOISE = 1e-8  # of the largest slope: what a finite difference leaves where nothing moves


@dataclass(frozen=True)
class Term:
    """factors: their texts and numbers; source: (value, index, whether its gradient) of where the number came from."""

    factors: tuple
    source: tuple | None = None

    @property
    def number(self):
        return math.prod(number for _, number in self.factors)


@dataclass(frozen=True)
class Equation:
    rule: str
    terms: list

    @property
    def number(self):
        return sum(term.number for term in self.terms)

    @property
    def largest(self):
        return max(self.terms, key=lambda term: abs(term.number), default=None)


def equation(walk, stop, index):
    """How the cell of a step's share (or of what it makes) came about; None where that is not spelled out."""
    step = stop.step
    if stop.phase == "backward":
        return None if stop.dy is None else chain_rule(walk, stop, index)
    if stop.phase == "update":
        return update(walk, stop, index)
    if step.call is None:
        return None
    name = step.call.op.__name__
    made = moved if name in MOVED else FORWARD.get(name)
    with np.errstate(all="ignore"):
        return made(walk, step.call, index) if made else None


def chain_rule(walk, stop, index):
    """dx = Σⱼ dyⱼ · ∂yⱼ/∂x; None at a kink, where there is no slope."""
    call, wrt = stop.step.call, stop.step.wrt
    inputs = [None if value is None else as_float64(value.array) for value in call.inputs]
    x, ends = inputs[wrt], []
    if not np.isfinite(x[index]):
        return None
    with np.errstate(all="ignore"):
        for moved_by in (EPS, -EPS, 0):
            inputs[wrt] = x.copy()
            inputs[wrt][index] += moved_by
            ends.append(np.array(call.op.forward(*inputs, **call.options)[0]))
        slopes = (ends[0] - ends[1]) / (2 * EPS)
        bend = np.abs(ends[0] - 2 * ends[2] + ends[1]) / EPS  # how much the slopes to the right and to the left differ
    size = np.abs(slopes).max(initial=0)
    if not np.isfinite(slopes).all() or (bend > 1e-2 * max(size, 1e-6)).any():
        return None  # no slope, or a kink
    y = call.output
    moves = np.argwhere(np.abs(slopes) > NOISE * max(size, 1e-12))
    at = [tuple(map(int, i)) for i in moves]
    terms = [Term(((place(walk.gradient(y), i), float(stop.dy[i])), ("slope", float(slopes[i]))), (y, i, True))
             for i in at]  # fmt: skip
    return Equation("Σ dy · ∂y/∂x", terms)


def update(walk, stop, index):
    """The sum by which an optimizer moved a number."""
    step, numbers = stop.step, stop.step.numbers
    before, rate = float(step.before[index]), ("−lr", -numbers["lr"])
    if "velocity" in numbers:
        return Equation("before − lr · velocity", [Term((("before", before),)),
                        Term((rate, ("velocity", float(numbers["velocity"][index]))))])  # fmt: skip
    t, (beta1, beta2) = numbers["step"], numbers["betas"]
    m_hat, v_hat = float(numbers["m"][index]) / (1 - beta1**t), float(numbers["v"][index]) / (1 - beta2**t)
    decay = Term((rate, ("λ", numbers["weight_decay"]), ("before", before)))
    moving = Term((rate, ("m̂", m_hat), ("1/(√v̂ + ε)", 1 / (math.sqrt(v_hat) + numbers["eps"]))))
    return Equation("before − lr · λ · before − lr · m̂/(√v̂ + ε)", [Term((("before", before),)), decay, moving])


# forward -------------------------------------------------------------------------------------------------------------


def place(name, index):
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def cell(walk, value, index):
    """A factor, the number of a value at an index."""
    return place(walk.short(value), index), float(value.array[index])


def one(walk, value, index, *more):
    """A term that begins with the number of a value."""
    return Term((cell(walk, value, index), *more), (value, index, False))


def saved(walk, call, name, index):
    """A factor, a number that the forward kept."""
    kept = call.saved[name]
    return cell(walk, kept, index) if isinstance(kept, Value) else (place(name, index), float(kept[index]))


def within(value, index):
    """An index of an array that was broadcast, as its own."""
    own = index[len(index) - value.array.ndim :]
    return tuple(0 if n == 1 else i for n, i in zip(value.array.shape, own))


def moved(walk, call, index):
    x = call.inputs[0]
    flat = np.arange(x.array.size).reshape(x.array.shape)
    origin = np.unravel_index(int(call.op.forward(flat, **call.options)[0][index]), x.array.shape)
    return Equation("moved here from", [one(walk, x, tuple(map(int, origin)))])


def embedding(walk, call, index):
    ids, weight = call.inputs
    token = int(ids.array[index[:-1]])
    return Equation(f"row {token} of {walk.short(weight)}", [one(walk, weight, (token, index[-1]))])


def add(walk, call, index):
    return Equation("a + b", [one(walk, value, within(value, index)) for value in call.inputs])


def subtract(walk, call, index):
    a, b = call.inputs
    return Equation("a − b", [one(walk, a, within(a, index)), one(walk, b, within(b, index), ("−1", -1.0))])


def multiply(walk, call, index):
    a, b = call.inputs
    return Equation("a · b", [one(walk, a, within(a, index), cell(walk, b, within(b, index)))])


def linear(walk, call, index):
    x, weight, bias = (*call.inputs, None)[:3]
    row, o = index[:-1], index[-1]
    terms = [one(walk, x, (*row, i), cell(walk, weight, (i, o))) for i in range(weight.array.shape[0])]
    return Equation("Σᵢ x[i] · weight[i, o] + bias[o]", terms + ([one(walk, bias, (o,))] if bias else []))


def matmul(walk, call, index):
    a, b = call.inputs
    if a.array.ndim < 2 or b.array.ndim < 2:
        return None
    row, column = within(a, (*index[:-1], 0))[:-1], within(b, (*index[:-2], 0, index[-1]))
    terms = [one(walk, a, (*row, k), cell(walk, b, (*column[:-2], k, column[-1]))) for k in range(a.array.shape[-1])]
    return Equation("Σₖ a[i, k] · b[k, j]", terms)


def layer_norm(walk, call, index):
    x, weight, bias = (*call.inputs, None, None)[:3]
    scale = [cell(walk, weight, index[-1:])] if weight else []
    terms = [Term((saved(walk, call, "x_hat", index), *scale), (x, index, False))]
    return Equation("x̂ · weight + bias", terms + ([one(walk, bias, index[-1:])] if bias else []))


def gelu_tanh(walk, call, index):
    return Equation("x · s", [one(walk, call.inputs[0], index, saved(walk, call, "s", index))])


def causal_attention(walk, call, index):
    batch, t, channel = index
    D = call.saved["v"].shape[-1]
    head, d = divmod(channel, D)
    terms = []
    for j in range(t + 1):
        weight = float(call.saved["P"][batch, head, t, j])
        if call.inputs[1] is not None:
            weight *= float(call.inputs[1].array[batch, head, t, j]) / (1 - call.options["p"])
        v = saved(walk, call, "v", (batch, head, j, d))
        origin = (batch, j, 2 * call.output.array.shape[-1] + channel)
        terms.append(Term(((place("P", (batch, head, t, j)), weight), v), (call.inputs[0], origin, False)))
    return Equation(f"Σⱼ P[{t}, j] · v[j]  in head {head}", terms)


def cross_entropy(walk, call, index):
    logits, answers, counted = call.inputs[0], call.saved["answers"], call.saved["counted"]
    if index or logits.array.ndim != 2 or np.ndim(call.saved["log_p"]) != 2:
        return None
    share = ("−1/n", -1 / float(np.asarray(call.saved["n"])))
    rows = [(i, int(answers[i])) for i in range(len(answers)) if counted[i]]
    return Equation("−Σᵢ log_p[i, targetᵢ] / n",
                    [Term((saved(walk, call, "log_p", at), share), (logits, at, False)) for at in rows])  # fmt: skip


FORWARD = {f.__name__: f for f in (embedding, add, subtract, multiply, linear, matmul, layer_norm, gelu_tanh,
                                   causal_attention, cross_entropy)}  # fmt: skip
