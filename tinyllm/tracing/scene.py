"""A step of a recording as lines of coloured text, for a terminal of any width."""

import numpy as np
from rich.text import Text

from .arithmetic import equation
from .heat import WIDTH, heat_lines, number_cell, scale_of
from .walk import number, visible

PHASES = {"forward": "bold dodger_blue1", "loss": "bold blue", "seed": "bold magenta", "backward": "bold dark_orange",
          "clip": "bold yellow", "update": "bold green", "after": "bold cyan"}  # fmt: skip
LABEL = 14  # width of what stands before a row of numbers
ROWS = 16  # of an array that are shown at once
TERMS = 8


def style(name, colours):
    """A style; without colours what is left of it: bold, underline."""
    if colours:
        return name
    return " ".join(word for word in ("bold", "underline") if word in name.replace("not bold", ""))


def scene(walk, stop, cell, width, colours=True, checks=None, hidden=False):
    """Everything there is to see of a step. cell: the index that is looked at; checks: None while they are computed;
    hidden: the result is still to be foretold."""
    lines = [Text(walk.subtitle(stop), style="dim")] if walk.subtitle(stop) else []
    if not hidden and not walk.makes(stop)[-1].array.size:
        lines.append(f"makes {facts(walk.makes(stop)[-1].array)}: no number")
    elif not hidden:
        lines += made(walk, stop, cell, width, colours)
        lines += sum_of(walk, stop, cell, colours)
    lines += ["", *formula(walk, stop, colours)]
    if stop.phase == "backward" and not hidden:
        lines += ["", *proof(walk, stop, colours, checks)]
    lines += source(walk, stop, colours)
    lines += received(walk, stop, width, colours)
    return Text("\n").join(line if isinstance(line, Text) else Text(line) for line in lines)


# arrays --------------------------------------------------------------------------------------------------------------


def rows_of(array):
    """An array as a matrix: all its axes but the last one as rows."""
    return array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)


def place_in(array, cell):
    """(row, column) of an index in rows_of(array)."""
    if not cell:
        return 0, 0
    row = int(np.ravel_multi_index(cell[:-1], array.shape[:-1])) if array.ndim > 1 else 0
    return row, cell[-1]


def window(middle, count, room):
    """The `room` places around `middle`, as a slice."""
    first = max(0, min(middle - room // 2, count - room))
    return slice(first, min(count, first + room))


def facts(array):
    """(3, 4)  −1.2 … 3.4  2 NaN"""
    flat = np.asarray(array).reshape(-1)
    if flat.dtype.kind != "f":
        return f"{array.shape}"
    finite = flat[np.isfinite(flat)]
    nan = int(np.isnan(flat).sum())
    odd = [f"{count} {kind}" for count, kind in ((nan, "NaN"), (flat.size - finite.size - nan, "infinite")) if count]
    span = [f"{number(float(finite.min()))} … {number(float(finite.max()))}"] if finite.size > 1 else []
    return "  ".join([f"{array.shape}", *span, *odd])


def made(walk, stop, cell, width, colours):
    """What the step makes: heat maps side by side on one scale, and the row of the cell in numbers."""
    cards = walk.makes(stop)
    arrays = [card.array for card in cards]
    scale, (row, column) = scale_of(arrays), place_in(arrays[-1], cell)
    head = Text(f"▸ {walk.heading(stop)}", style="bold").append(
        f"   {arrays[-1].shape}, one scale: ±{number(scale)}" if len(cards) > 1 else f"   {facts(arrays[-1])}",
        style="not bold dim",
    )
    lines = [head]
    matrices = [rows_of(array) for array in arrays]
    count, columns = matrices[0].shape
    if count > 1:
        shown_rows = window(row, count, ROWS if colours else ROWS // 2)
        each = (width - 4 * (len(cards) - 1)) // len(cards)
        shown = window(column, columns, max(1, each))
        chosen = (row - shown_rows.start, column - shown.start)
        blocks = []
        for card, matrix in zip(cards, matrices):
            heat = heat_lines(matrix[shown_rows, shown].tolist(), scale, chosen, colours)
            blocks.append([Text(card.title.lstrip("+= ")), *heat])
        lines += beside(blocks, max(10, shown.stop - shown.start))
        if count > shown_rows.stop - shown_rows.start or columns > shown.stop - shown.start:
            lines.append(Text(f"rows {shown_rows.start}–{shown_rows.stop - 1} of {count}, columns {shown.start}–"
                              f"{shown.stop - 1} of {columns}", style="dim"))  # fmt: skip
    shown = window(column, columns, max(1, (width - LABEL) // WIDTH))
    where = f"row {row_name(walk, arrays[-1], cell)}" if count > 1 else ""
    heads = "".join(f"{i:>{WIDTH - 1}} " for i in range(shown.start, shown.stop)) if arrays[-1].ndim else ""
    lines.append(Text(f"{where[: LABEL - 1]:<{LABEL}}{heads}", style="dim"))
    for card, matrix in zip(cards, matrices):
        line = Text(f"{card.title[: LABEL - 1]:<{LABEL}}")
        for j, x in enumerate(matrix[row, shown].tolist(), shown.start):
            line.append(number_cell(x, scale, j == column, colours))
        lines.append(line)
    return lines


def row_name(walk, array, cell):
    """[0, 3] 'b': the index of a row, and the token where rows are tokens."""
    index = list(cell[:-1])
    tokens = (walk.trace.text or {}).get("tokens", [])
    flat = place_in(array, cell)[0]
    named = array.ndim > 2 and len(rows_of(array)) == len(tokens)
    return f"{', '.join(map(str, index))}" + (f" {visible(tokens[flat])}" if named else "")


def beside(blocks, width, signs=("", "+", "=")):
    """Blocks of lines next to each other, with + and = between them."""
    lines = []
    for i in range(max(map(len, blocks))):
        line = Text()
        for j, block in enumerate(blocks):
            part = block[i].copy() if i < len(block) else Text()
            part.truncate(width, pad=True)
            sign = f" {signs[j]} " if j and i == len(block) // 2 else "   "
            line += Text(sign if j else "") + part
        line.rstrip()
        lines.append(line)
    return lines


def received(walk, stop, width, colours):
    """What the step receives and was kept for it: each with a few of its rows."""
    cards = walk.receives(stop)
    if not cards and not walk.options(stop):
        return []
    lines = ["", Text("▸ receives", style="bold")]
    options = ", ".join(f"{name} = {plain_option(x)}" for name, x in walk.options(stop).items())
    lines += [Text(options, style="dim")] * bool(options)
    row, used = [], 0
    for block in (small(card, width, colours) for card in cards):
        size = max(line.cell_len for line in block)
        if row and used + size > width:
            lines, row, used = lines + side_by_side(row), [], 0
        row.append((block, size))
        used += size + 2
    return lines + side_by_side(row)


def small(card, width, colours):
    """An array that a step receives: its facts and its first rows."""
    matrix = rows_of(card.array)[: ROWS // 2, : width - 2] if card.array.size else np.zeros((0, 0))
    head = [Text(card.title, style="bold").append(f" {card.note}", style="not bold dim"),
            Text(facts(card.array), style="dim")]  # fmt: skip
    if card.array.dtype.kind == "f":
        return head + heat_lines(matrix.tolist(), scale_of([card.array]), None, colours)
    return head + [Text(" ".join(map(str, map(int, row)))[:width]) for row in matrix.tolist()]


def side_by_side(row):
    """Lines of (block, width), two columns between them."""
    height = max((len(block) for block, _ in row), default=0)
    lines = []
    for i in range(height):
        line = Text()
        for block, size in row:
            part = block[i].copy() if i < len(block) else Text()
            part.truncate(size, pad=True)
            line += part + Text("  ")
        line.rstrip()
        lines.append(line)
    return lines


def plain_option(x):
    x = x.item() if isinstance(x, (np.ndarray, np.generic)) else x
    return number(x) if isinstance(x, float) else repr(x)


# words ---------------------------------------------------------------------------------------------------------------


def sum_of(walk, stop, cell, colours):
    """The cell as the sum that made it."""
    found = equation(walk, stop, cell)
    made_by = stop.step.share if stop.phase == "backward" else stop.step.after
    if made_by is None:
        return []
    what = "this share" if stop.phase == "backward" and stop.step.before is not None else walk.makes(stop)[-1].title
    name = f"{what.removeprefix('= ')}[{', '.join(map(str, cell))}]" if cell else what
    line = Text(name, style="bold").append(f" = {number(float(np.asarray(made_by)[cell]))}", style="bold")
    if found is None:
        return [line.append("   see its formula and its source", style="not bold dim")]
    line.append(f" = {found.rule} = " if found.rule else " = ", style="not bold dim")
    for i, term in enumerate(found.terms[:TERMS]):
        text = " · ".join(bracketed(x) for _, x in term.factors)
        largest = term is found.largest and len(found.terms) > 1
        line.append(" + " if i else "", style="not bold")
        line.append(text, style=style("not bold underline dark_orange" if largest else "not bold", colours))
    more = len(found.terms) - TERMS
    line.append(f" + … {more} more" if more > 0 else "" if found.terms else "0: nothing arrives here",
                style="not bold dim")
    if found.terms and found.largest.source:
        line.append(f"   largest: {' · '.join(name for name, _ in found.largest.factors)}", style="not bold dim")
    return [line]


def bracketed(x):
    return f"({number(x)})" if x < 0 else number(x)


def formula(walk, stop, colours):
    tex, why = walk.formula(stop)
    lines = [Text(line, style="bold") for line in tex.split("\n") if line]
    lines += [Text(why)] * bool(why)
    shapes = walk.shapes(stop)
    return lines + [Text(shapes, style="dim")] * bool(shapes)


def proof(walk, stop, colours, checks):
    """Finite differences, torch, and whether before + share is after."""
    if checks is None:
        lines = [Text("… checking", style="dim")]
    else:
        found = checks.get(stop.index, {})
        lines = [verdict("finite differences", found.get("differences"), "not finite, or not to be had here", colours),
                 verdict("torch", found.get("torch"), "not installed, or has no such op", colours)]  # fmt: skip
    step = stop.step
    if step.before is not None:
        exact = np.array_equal(step.before + step.share, step.after, equal_nan=True)
        lines.append(mark(exact, "before + share = after", "bit for bit" if exact else "differs", colours))
    return lines


def verdict(name, check, without, colours):
    if check is None:
        return Text(f"– {name}: {without}", style="dim")
    entries = f"all {check.of} entries" if check.entries == check.of else f"{check.entries} of {check.of} entries"
    text = f"largest difference {check.error:.2g} of the largest entry, {entries}"
    if not check.ok:
        text += f"; at {list(check.worst)} {number(check.theirs)}, ours {number(check.ours)}"
    return mark(check.ok, name, text, colours)


def mark(ok, name, text, colours):
    line = Text().append("✓ " if ok else "✗ ", style=style("bold green" if ok else "bold red", colours))
    return line.append(name, style="bold").append(f": {text}", style="" if ok else style("red", colours))


def source(walk, stop, colours):
    """The function, with the line that made the result lit; and who called it."""
    found = walk.source(stop)
    if not found:
        return []
    file, first, lines, hot = found
    lit = range(hot[0], hot[1] + 1) if hot else range(0)
    begin, end = (lit[0] - 4, lit[-1] + 3) if hot else (first, first + 8)
    shown = ["", Text(f"▸ {file}:{hot[0] if hot else first}", style="bold")]
    for n, line in enumerate(lines, first):
        if begin <= n <= end:
            style_of = style("bold black on #ffd75f", colours) if n in lit else "dim"
            shown.append(Text(f"{'>' if n in lit else ' '}{n:>4}  {line}", style=style_of if colours else ""))
    return shown + [Text(f"      ← {caller}", style="dim") for caller in walk.callers(stop)[:4]]
