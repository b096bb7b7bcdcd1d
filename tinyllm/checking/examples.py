"""Inputs to try an op on, made from its shape line.

All numbers of an example differ from each other, and none is near 0: relu, abs, max and their like have no derivative
where two numbers tie, and a finite difference would see another one on each side.
"""

import inspect
from dataclasses import dataclass, field
from math import prod

import numpy as np

from .cases import CASES, LENGTHS
from .shape_line import arrays, shape_line

COUNT = 12  # examples of an op
SEVERAL = 3  # arrays of an op that takes any number of them
DRAW = {  # size: numbers from 0.2 to 2, all of them different; below: an index below it is valid on every axis
    "": lambda size, below, rng: size * rng.choice((-1.0, 1.0), size.shape),
    "positive": lambda size, below, rng: size,
    "probabilities": lambda size, below, rng: size / 2.2,
    "integers": lambda size, below, rng: rng.integers(0, below, size.shape),
    "bool": lambda size, below, rng: rng.random(size.shape) < 0.5,
}
HOW = ("Give the docstring of {0}_forward a shape line such as `x (N, C)  ->  y (N, C)`, or the file examples of your "
       "own: `examples = {{\"{0}\": lambda rng: (rng.standard_normal((3, 4)),)}}`, the arrays and, where it takes "
       "options, a dict of them at the end")  # fmt: skip


@dataclass(frozen=True)
class Example:
    """inputs: arrays in float64, of integers or booleans; None where an optional one is left out."""

    inputs: tuple
    options: dict = field(default_factory=dict)


def examples(op, seed=0, own=None):
    """COUNT examples of an op, the same ones for the same seed; own(rng) makes them where it is given."""
    cases = None if own else cases_of(op)
    made = []
    for i in range(COUNT):
        rng = np.random.default_rng([seed, i])
        made.append(_own(op, own(rng)) if own else _drawn(op, *cases[i % len(cases)], rng, plain=i < len(cases)))
    return made


def cases_of(op):
    """[(arrays that go in, options)]: those of CASES where they fit, else the op's shape line without options."""
    sides = shape_line(op.__doc__)
    listed = [(arrays(line) or (sides and sides[0]), options) for line, options in CASES.get(op.__name__, [("", {})])]
    cases = [case for case in listed if case[0] and _fits(op, *case)]
    if not cases and sides and [array.name for array in sides[0]] != list(op.names):
        named = ", ".join(array.name for array in sides[0])
        raise ValueError(f"{op.__name__}: its shape line names {named}, its forward takes {', '.join(op.names)}")
    if not cases and sides and _fits(op, sides[0], {}):
        cases = [(sides[0], {})]  # an op of the user's that has the name of one of ours
    if not cases:
        raise ValueError(f"{op.__name__}: nothing says which inputs to try. {HOW.format(op.__name__)}")
    return cases


def _fits(op, arrays, options):
    parameters = op.__signature__.parameters
    required = {name for name in op.options if parameters[name].default is inspect.Parameter.empty}
    return [a.name for a in arrays] == list(op.names) and required <= set(options) <= set(op.options)


def _drawn(op, arrays, options, rng, plain):
    """One example; a plain one has every array there, in its full shape, and no two lengths alike."""
    dots = (2,) if plain else tuple(map(int, rng.integers(2, 5, rng.integers(0, 3))))
    if op.variadic:
        arrays = arrays * SEVERAL
        shapes = [array.shape(_sizes(arrays, rng), dots) for array in arrays]
        return Example(fill(arrays, shapes, min(dots, default=2), rng), options)
    sizes = _sizes(arrays, None if plain else rng) | LENGTHS.get(op.__name__, {})
    parts = [dots] * len(arrays) if plain else _parts(dots, len(arrays), rng)
    shapes = [array.shape(sizes, part) for array, part in zip(arrays, parts)]
    inputs = fill(arrays, shapes, min(sizes.values(), default=2), rng)
    left_out = [not plain and array.name in op.optional and rng.random() < 0.5 for array in arrays]
    return Example(tuple(None if out else x for x, out in zip(inputs, left_out)), options)


def _sizes(arrays, rng):
    """{capital: length}, all different where there is no rng."""
    letters = sorted({letter for array in arrays for letter in array.letters()})
    return {letter: int(rng.integers(3, 6)) if rng else i for i, letter in enumerate(letters, 3)}


def _parts(dots, count, rng):
    """Shapes that broadcast to `dots`; one of them is the whole."""
    parts = [tuple(int(rng.choice((1, n))) for n in dots[rng.integers(0, len(dots) + 1) :]) for _ in range(count - 1)]
    parts.insert(rng.integers(0, count), dots)
    return parts


def fill(arrays, shapes, below, rng):
    """What these arrays hold, in these shapes."""
    counts = [prod(shape) for shape in shapes]
    total = sum(counts)
    sizes = 0.2 + 1.8 * (rng.permutation(total) + 0.5) / total
    pieces = np.split(sizes, np.cumsum(counts)[:-1])
    return tuple(
        np.asarray(DRAW[array.kind](piece.reshape(shape), below, rng))
        for array, shape, piece in zip(arrays, shapes, pieces)
    )


def _own(op, made):
    """What `examples` of a user's file gave: a tuple of arrays, with a dict of options at the end or none."""
    if not isinstance(made, tuple) or not made:
        raise ValueError(f"examples[{op.__name__!r}] must give a tuple of arrays, (x,) for one, not {made!r:.40}")
    options = made[-1] if isinstance(made[-1], dict) else {}
    inputs = made[:-1] if isinstance(made[-1], dict) else made
    return Example(tuple(None if x is None else np.asarray(x) for x in inputs), options)
