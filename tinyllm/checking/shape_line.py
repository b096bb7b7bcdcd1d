"""The shape line of a docstring: which arrays an op takes, and what it makes of them.

    x (..., C)  weight (C,)  ->  y (..., C)

A capital stands for one length throughout the line, `3C` for three times it, a digit for itself, and `...` for axes
that broadcast against each other. After the brackets may stand what the array holds: integers, bool, positive,
probabilities; without a word it holds numbers of either sign.
"""

import re
from dataclasses import dataclass

KINDS = ("integers", "bool", "positive", "probabilities")
ARRAY = re.compile(rf"(\w+) \(([^)]*)\)(?: ({'|'.join(KINDS)})\b)?")
AXIS = re.compile(r"(\d*)([A-Z]?)")


@dataclass(frozen=True)
class Array:
    """One array of a shape line: x, ("...", "C"), "" (or one of KINDS)."""

    name: str
    axes: tuple[str, ...]
    kind: str

    def __post_init__(self):
        for axis in self.axes:
            if axis != "..." and not (axis and AXIS.fullmatch(axis)):
                raise ValueError(f"axis {axis!r} of {self.name} is none of: ..., a capital C, a number 4, both 3C")

    def brackets(self):
        """(..., C), (N,) integers"""
        comma = "," if len(self.axes) == 1 and self.axes != ("...",) else ""
        kind = f" {self.kind}" if self.kind in ("integers", "bool") else ""
        return f"({', '.join(self.axes)}{comma}){kind}"

    def letters(self):
        return [AXIS.fullmatch(axis)[2] for axis in self.axes if axis != "..." and AXIS.fullmatch(axis)[2]]

    def shape(self, lengths, dots=()):
        """Its shape where the capitals have these lengths, and `...` stands for axes of the lengths `dots`."""
        shape = []
        for axis in self.axes:
            if axis == "...":
                shape += dots
            else:
                factor, letter = AXIS.fullmatch(axis).groups()
                shape.append(int(factor or 1) * (lengths[letter] if letter else 1))
        return tuple(shape)


def shape_line(docstring):
    """The arrays on both sides of the arrow, ([Array, …], [Array, …]); None where no line is one."""
    for line in (docstring or "").splitlines():
        if line.count("->") == 1:
            sides = tuple(arrays(side) for side in line.split("->"))
            if all(sides):
                return sides
    return None


def arrays(text):
    """The arrays in `x (..., C)  weight (C,)`."""
    return [
        Array(name, tuple(axis.strip() for axis in axes.split(",") if axis.strip()), kind)
        for name, axes, kind in ARRAY.findall(text)
    ]
