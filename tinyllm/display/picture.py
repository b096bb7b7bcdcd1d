"""An array as inline SVG: its cells as colours on the scale of the stepper's page, and a histogram in the same colours.

A colour is only how much of blue (below 0) or orange (above 0) covers the ground: what these three look like is said
in style.css, for light and for dark.
"""

from html import escape
from math import ceil, prod

import numpy as np

from ..backend import to_numpy

LEVELS = 24  # of a colour
WRITTEN = 80  # up to so many numbers are written into their cells
GAP = 8  # between two matrices
BINS, TALL, SAMPLE = 40, 40, 1_000_000  # of the histogram: bars, their height, and how many numbers it reads at most


def heatmap(array, scale, most):
    """(SVG, what it leaves out in words) of an array; `most` matrices, rows and columns are drawn of it.

    scale: how far from 0 a colour is full.
    """
    numbers, left_out = corner(array, most)
    count, rows, columns = numbers.shape
    written = array.size <= WRITTEN and count * columns <= 8
    width, height = (62, 20) if written else (10, 14 if rows == 1 else 10)
    matrix_width = columns * width
    paths, above = {}, []
    for (matrix, row, column), number in np.ndenumerate(numbers):
        x, y = matrix * (matrix_width + GAP) + column * width, row * height
        kind, level = colour(float(number), scale)
        if level:
            paths.setdefault((kind, level), []).append(f"M{x} {y + height / 2:g}h{width - 1}")
        if written:
            above.append(text(short(number), x + width // 2, y + 14))
        elif kind == "odd":
            above.append(mark(number, x, y, width - 1, height - 1))
    ground = [rectangle("ground", m * (matrix_width + GAP), 0, matrix_width, rows * height) for m in range(count)]
    cells = [f'<path class="{kind}" stroke-width="{height - 1}" opacity="{level:.3g}" d="{"".join(path)}"/>'
             for (kind, level), path in sorted(paths.items())]  # fmt: skip
    label = f"{array.shape} numbers as colours"
    return svg(ground + cells + above, count * (matrix_width + GAP) - GAP, rows * height, label), left_out


def histogram(array, known):
    """(SVG, what it leaves out in words): how often which numbers come, in the colours that their cells have.

    known: the Statistics of the array.
    """
    low, high = known.smallest, known.largest
    if low == high:
        return "", ""
    every = ceil(array.size / SAMPLE)
    some = to_numpy(array.reshape(-1)[::every]).astype(np.float64)
    scaled = some[np.isfinite(some)] / known.scale  # so that the width of a bar is no infinity
    heights = np.histogram(scaled, BINS, (low / known.scale, high / known.scale))[0]
    bars = []
    for i, height in enumerate(np.ceil(TALL * heights / max(heights.max(), 1)).astype(int)):
        part = (i + 0.5) / BINS
        kind, level = colour(low * (1 - part) + high * part, known.scale)
        bars.append(rectangle("bar", 4 * i, TALL - height, 4, height))
        bars.append(rectangle(kind, 4 * i, TALL - height, 4, height, level))
    ends = [text(short(low), 0, TALL + 13, "low"), text(short(high), 4 * BINS, TALL + 13, "high")]
    left_out = f"the histogram is of every {every}th number" if every > 1 else ""
    return svg(bars + ends, 4 * BINS, TALL + 16, f"histogram from {short(low)} to {short(high)}"), left_out


def corner(array, most):
    """The first matrices, rows and columns of an array, as many as are drawn, and in words which those are."""
    shape = (1,) * (2 - array.ndim) + array.shape
    sizes = prod(shape[:-2]), shape[-2], shape[-1]
    drawn = [min(size, limit) for size, limit in zip(sizes, most)]
    matrices = array.reshape(shape)
    first = [to_numpy(matrices[np.unravel_index(i, shape[:-2])][: drawn[1], : drawn[2]]) for i in range(drawn[0])]
    numbers = np.stack(first) if first else np.empty((0, *drawn[1:]))
    names = ("matrices", "rows", "columns" if array.ndim > 1 else "numbers")
    parts = [f"{n:,} of {size:,} {name}" for n, size, name in zip(drawn, sizes, names) if n < size]
    return numbers, f"drawn are the first {', '.join(parts)}" if parts else ""


def colour(number, scale):
    """("above" or "below" 0, how much of that colour: 0 … 1), as in heatmap.js; ("odd", 1) for NaN and infinities."""
    if not np.isfinite(number):
        return "odd", 1
    weight = (abs(number) / scale) ** 0.8 if scale else 0
    return "below" if number < 0 else "above", ceil(weight * LEVELS) / LEVELS


def short(number):
    return str(number) if isinstance(number, (np.bool_, np.integer)) else f"{number:.3g}".replace("-", "−")


def mark(number, x, y, w, h):
    """The cross of a NaN, the plus or minus of an infinity."""
    lines = [(0.2, 0.2, 0.8, 0.8), (0.2, 0.8, 0.8, 0.2)] if np.isnan(number) else [(0.2, 0.5, 0.8, 0.5)]
    lines += [(0.5, 0.2, 0.5, 0.8)] if number > 0 else []
    path = "".join(f"M{x + x0 * w:g} {y + y0 * h:g}L{x + x1 * w:g} {y + y1 * h:g}" for x0, y0, x1, y1 in lines)
    return f'<path class="mark" d="{path}"/>'


def text(written, x, y, kind=""):
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(written)}</text>'


def rectangle(kind, x, y, width, height, opacity=1):
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" opacity="{opacity:.3g}"/>'


def svg(parts, width, height, label):
    size = f'width="{max(width, 0)}" height="{height}" viewBox="0 0 {max(width, 0)} {height}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
