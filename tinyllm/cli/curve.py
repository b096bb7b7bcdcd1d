"""A loss curve in the characters of a terminal."""

from rich.text import Text

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # a braille character is 4 rows of 2 dots


def curve(series, last, width, height):
    """The points of several series as lines of braille, with the scale at the left; the last series lies on top.

    series: [(style, [(x, y), …]), …]; x from 0 to `last`; width and height in characters.
    """
    ys = sorted(y for _, points in series for _, y in points)
    if not ys:
        return Text("\n" * (height - 1))
    low, high = ys[0], ys[-1]
    span = (high - low) or 1.0
    columns = max(width - 8, 1)
    cells = {}  # (row, column) -> [dots, style]
    for style, points in series:
        for x, y in points:
            right = min(int(x / last * 2 * columns), 2 * columns - 1)
            down = min(int((high - y) / span * 4 * height), 4 * height - 1)
            cell = cells.setdefault((down // 4, right // 2), [0, style])
            cell[0], cell[1] = cell[0] | DOTS[down % 4][right % 2], style
    scale = {0: high, height - 1: low}
    lines = []
    for row in range(height):
        line = Text(f"{_number(scale[row])} " if row in scale else " " * 8, style="dim")
        for column in range(columns):
            dots, style = cells.get((row, column), (0, ""))
            line.append(chr(0x2800 + dots) if dots else " ", style)
        lines.append(line)
    return Text("\n").join(lines)


def _number(y):
    """In seven places."""
    return f"{y:7.3f}" if abs(y) < 999 else f"{y:7.1e}"
