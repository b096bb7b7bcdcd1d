"""Arrays as coloured cells of text: orange above 0, blue below, as on the page; signs where there is no colour."""

from rich.style import Style
from rich.text import Text

from .walk import number

ZERO, ABOVE, BELOW, ODD = (29, 31, 36), (255, 150, 50), (90, 175, 255), (190, 40, 150)
INK, LIGHT = "#16181d", "#f2f0ea"
WIDTH = 11  # of a number in its cell
UPPER, LOWER = "▀", "▄"


def scale_of(arrays):
    """The size that has the full colour: the largest finite number of all of them."""
    import numpy as np

    sizes = [np.abs(x[np.isfinite(x)]).max(initial=0) for x in map(np.atleast_1d, arrays) if x.dtype.kind == "f"]
    return float(max(sizes, default=0)) or 1.0


def colour(x, scale):
    """The (r, g, b) of a number."""
    if x != x or x in (float("inf"), float("-inf")):
        return ODD
    weight = min(abs(x) / scale, 1.0) ** 0.8
    end = BELOW if x < 0 else ABOVE
    return tuple(round(zero + (full - zero) * weight) for zero, full in zip(ZERO, end))


def rgb(colour):
    return "#{:02x}{:02x}{:02x}".format(*colour)


def sign(x, scale):
    """A number without colour: # and + above 0, = and - below, · near it; N and I where it is none."""
    if x != x:
        return "N"
    if x in (float("inf"), float("-inf")):
        return "I"
    size = abs(x) / scale
    return "·" if size < 0.05 else ("#" if x > 0 else "=") if size > 0.4 else ("+" if x > 0 else "-")


def number_cell(x, scale, chosen=False, colours=True):
    """One number on its colour, WIDTH wide."""
    text = f"{number(x):>{WIDTH - 1}} "
    if not colours or not isinstance(x, float):
        return Text(text, style="reverse" if chosen else "")
    shade = colour(x, scale)
    ink = INK if sum(shade) > 330 else LIGHT
    return Text(text, style=Style(color=ink, bgcolor=rgb(shade), bold=chosen, underline=chosen))


def heat_lines(rows, scale, chosen=None, colours=True):
    """Lines of Text, one character a column: two rows a line in colour, else one. rows: lists of numbers; chosen: the
    (row, column) that is marked."""
    if not colours:
        return [Text.assemble(*((sign(x, scale), "reverse" if (i, j) == chosen else "") for j, x in enumerate(row)))
                for i, row in enumerate(rows)]  # fmt: skip
    lines = []
    for i in range(0, len(rows), 2):
        line = Text()
        for j, upper in enumerate(rows[i]):
            top = _shade(upper, scale, (i, j) == chosen)
            below = rows[i + 1][j] if i + 1 < len(rows) else None
            bottom = None if below is None else _shade(below, scale, (i + 1, j) == chosen)
            line.append(UPPER, Style(color=rgb(top), bgcolor=bottom and rgb(bottom)))
        lines.append(line)
    return lines


def _shade(x, scale, chosen):
    return (255, 255, 255) if chosen else colour(float(x), scale)
