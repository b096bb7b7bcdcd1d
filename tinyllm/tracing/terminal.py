"""A recording in a terminal: every step as a few lines, one after the other."""

import inspect

import numpy as np
from rich.console import Console
from rich.text import Text

from .places import made_at

ROWS, COLUMNS = 4, 8  # of an array that is shown
PHASE = {"forward": "bold blue", "seed": "bold magenta", "backward": "bold dark_orange"}


def show(trace, console=None):
    """Print the walk through a recording; the step that matters alone, where one does."""
    console = console or Console(highlight=False, soft_wrap=True)
    focus = trace.meta.get("focus")
    for i, step in enumerate(trace.steps):
        if focus and i != focus["step"]:
            continue
        phase = f"{i + 1}/{len(trace.steps)} {step.phase}", PHASE.get(step.phase, "bold")
        console.print(Text.assemble(phase, "  ", title(step)))
        for line in body(step):
            console.print(Text(f"    {line}"))
        console.print()


def title(step):
    """What happens, as an equation with the names of this recording."""
    if step.phase == "forward":
        call = step.call
        names = ", ".join("None" if value is None else value.name for value in call.inputs)
        options = "".join(f", {name}={option!r}" for name, option in call.options.items())
        where = f"   in {call.scope}" if call.scope else ""
        return f"{call.output.name} = {call.op.__name__}({names}{options}){where}"
    if step.phase == "backward":
        sign = "=" if step.nth == 1 else "+="
        return f"d{step.value.name} {sign} {step.call.op.__name__}_backward(d{step.call.output.name}, …)"
    if step.phase == "seed":
        return f"d{step.value.name} = 1: the loss by itself"
    if step.phase == "clip":
        facts = "all gradients · {scale:.4g}: together they are {norm:.4g} long, {max_norm:g} is allowed"
        return facts.format(**step.numbers)
    return f"{step.value.name} moves"


def body(step):
    """What there is to see of a step, in lines."""
    lines = []
    if step.phase == "forward":
        lines += doc(step.call.op.forward) + made_at(step.call.op.forward, 0) + picture(step.after)
    elif step.phase == "backward":
        lines += doc(step.call.op.backward) + made_at(step.call.op.backward, step.wrt)
        if step.before is not None:
            lines += ["before:", *picture(step.before), "+ this share:", *picture(step.share), "= after:"]
        lines += picture(step.after)
    elif step.phase == "update":
        lines += ["before:", *picture(step.before), "after:", *picture(step.after)]
    return lines


def doc(function):
    """The formula: the first paragraph of a docstring."""
    return inspect.getdoc(function).partition("\n\n")[0].splitlines()


def picture(array):
    """Shape, range and the first numbers of an array."""
    array = np.asarray(array)
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    bad = array.size - finite.size
    extent = f"{finite.min():.4g} … {finite.max():.4g}" if finite.size else "no finite number"
    lines = [f"{array.shape} {array.dtype}   {extent}" + (f"   {bad} not finite" if bad else "")]
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    for row in rows[:ROWS]:
        cells = " ".join(f"{x:>9.4g}" for x in row[:COLUMNS].tolist())
        lines.append(cells + (" …" if len(row) > COLUMNS else ""))
    if len(rows) > ROWS:
        lines.append(f"{'…':>9}  {len(rows) - ROWS} rows more")
    return lines
