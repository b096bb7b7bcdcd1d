"""What a forward hands to its backward, in words: found by running it on lengths that tell which axis they are."""

import inspect

import numpy as np

from ..checking.cases import LENGTHS
from ..checking.examples import cases_of, fill
from ..checking.shape_line import Array, shape_line

PRIMES = (5, 7, 11, 13, 19, 23)
DOTS = 29
FORWARD = "worked out by the forward"


def saved_by(op):
    """[(name, shape, what it is)] of the backward's parameters after dy."""
    arrays, options = cases_of(op)[0]
    fixed = LENGTHS.get(op.__name__, {})
    letters = sorted({letter for array in arrays for letter in array.letters()} - set(fixed))
    lengths = dict(zip(letters, PRIMES)) | fixed
    inputs = fill(arrays, [array.shape(lengths, (DOTS,)) for array in arrays], 2, np.random.default_rng(0))
    y, saved = op.forward(*inputs, **options)
    names = list(inspect.signature(op.backward).parameters)[1:]
    known = {id(x): (array, _input(op, array)) for x, array in zip(inputs, shape_line(op.__doc__)[0])}
    known[id(y)] = (shape_line(op.__doc__)[1][0], "the output")
    shapes = {f"{name}_shape": f"the shape of {name}" for name in op.names}
    rows = []
    for name, value in zip(names, saved):
        if id(value) in known:
            array, what = known[id(value)]
            rows.append((name, array.brackets(), what))
        elif name in op.options or name in shapes:
            rows.append((name, "", shapes.get(name, "the option")))
        elif np.ndim(value) and isinstance(value, np.ndarray):
            rows.append((name, _shape(value, lengths), FORWARD))
        else:
            rows.append((name, "", f"{'a list' if isinstance(value, list) else 'a number'}, {FORWARD}"))
    return rows


def _input(op, array):
    return "the input, or None" if array.name in op.optional else "the input"


def _shape(value, lengths):
    """(..., C), where value has the lengths of these axes."""
    names = {DOTS: "..."} | {k * n: f"{k if k > 1 else ''}{letter}" for k in (3, 2, 1) for letter, n in lengths.items()}
    kind = {"b": "bool", "i": "integers"}.get(value.dtype.kind, "")
    return Array("", tuple(names.get(n, str(n)) for n in value.shape), kind).brackets()
