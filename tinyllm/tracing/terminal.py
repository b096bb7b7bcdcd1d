"""A recording in a terminal: every step as a few lines, one after the other."""

import numpy as np
from rich.console import Console
from rich.text import Text

from .places import made_at
from .walk import Walk, number

ROWS, COLUMNS = 4, 8  # of an array that is shown
PHASE = {"forward": "bold blue", "seed": "bold magenta", "backward": "bold dark_orange"}


def show(trace, console=None):
    """Print the walk through a recording; the step that matters alone, where one does."""
    console = console or Console(highlight=False, soft_wrap=True)
    walk, focus = Walk(trace), trace.meta.get("focus")
    for stop in walk.stops:
        if focus and stop.index != focus["step"]:
            continue
        phase = f"step {stop.index} of {len(walk.stops) - 1} {stop.phase}", PHASE.get(stop.phase, "bold")
        console.print(Text.assemble(phase, "  ", walk.title(stop)))
        for line in [*body(walk, stop), *proof(walk, stop, bool(focus))]:
            console.print(Text(f"    {line}" if line else ""))
        console.print()


def body(walk, stop):
    """What there is to see of a step, in lines."""
    formula, why = walk.formula(stop)
    lines = [walk.subtitle(stop), *formula.split("\n"), why, walk.shapes(stop)]
    call = stop.step.call
    if call:
        back = stop.phase == "backward"
        lines += made_at(call.op.backward if back else call.op.forward, stop.step.wrt if back else 0)
    for card in walk.makes(stop):
        lines += [card.title, *picture(card.array)]
    return [line for line in lines if line]


def proof(walk, stop, wanted):
    """What finite differences say, of the one step that is shown."""
    check = walk.checks(with_torch=False).get(stop.index, {}).get("differences") if wanted else None
    if check is None:
        return []
    differs = f"; at {list(check.worst)} they give {number(check.theirs)}, this gives {number(check.ours)}"
    return [f"{'✓' if check.ok else '✗'} finite differences" + ("" if check.ok else differs)]


def picture(array):
    """Shape, range and the first numbers of an array."""
    array = np.asarray(array)
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    bad = array.size - finite.size
    extent = f"{number(finite.min().item())} … {number(finite.max().item())}" if finite.size else "no finite number"
    lines = [f"{array.shape} {array.dtype}   {extent}" + (f"   {bad} not finite" if bad else "")]
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    for row in rows[:ROWS]:
        cells = " ".join(f"{number(x):>9}" for x in row[:COLUMNS].tolist())
        lines.append(cells + (" …" if len(row) > COLUMNS else ""))
    if len(rows) > ROWS:
        lines.append(f"{'…':>9}  {len(rows) - ROWS} rows more")
    return lines
