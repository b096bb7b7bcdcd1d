"""Tensors and modules in a notebook: HTML that needs no script, and is right in light and in dark."""

from html import escape
from pathlib import Path

from .picture import heatmap, histogram
from .statistics import statistics
from .text import facts, label, sizes
from .tree import branches

LARGE, SMALL = (3, 24, 48), (1, 6, 32)  # matrices, rows and columns that are drawn at most: of a tensor, of a parameter
OPEN = 2  # so many levels of a module are unfolded


def tensor_html(x):
    """A tensor with its gradient beside it: the numbers as colours, a histogram, and what they are like."""
    about = " · ".join([f"{x.shape}", f"{x.dtype}", *facts(x)])
    views = [view("", x.data, LARGE)] + ([view("gradient", x.grad, LARGE)] if x.grad is not None else [])
    head = f"<b>{escape(type(x).__name__)}</b> {code(about)}"
    return framed(x, f'{head}<div class="views">{"".join(views)}</div>')


def module_html(module):
    """The tree of a module: it unfolds, and shows the parameters."""
    text, depths = [], []
    for branch in branches(module):
        while depths and depths[-1] >= branch.depth:
            text.append("</details>")
            depths.pop()
        size = " · ".join(filter(None, (f"{branch.count:,}" if branch.count else "", sizes(branch))))
        head = f"{code(label(branch))} <small>{escape(size)}</small>"
        own = [(name, parameter) for name, parameter, tied in branch.parameters if not tied]
        if branch.children or own:
            unfolded = ' open=""' if branch.depth < OPEN else ""
            text.append(f"<details{unfolded}><summary>{head}</summary>")
            depths.append(branch.depth)
            views = (view(name, parameter.data, SMALL, with_histogram=False) for name, parameter in own)
            text += [f'<div class="leaf">{one}</div>' for one in views]
        else:
            text.append(f'<div class="leaf">{head}</div>')
    return framed(module, "".join(text) + "</details>" * len(depths))


def view(title, array, most, with_histogram=True):
    """An array as a figure."""
    known = statistics(array)
    cells, left_out = heatmap(array, known.scale, most)
    bars, sampled = histogram(array, known) if with_histogram and array.dtype.kind != "b" else ("", "")
    odd = f'<span class="badge">{known.odd}</span>' if known.odd else ""
    caption = " ".join(filter(None, [title and code(title), known.extent, odd]))
    notes = "".join(f"<small>{note}</small><br/>" for note in (left_out, sampled) if note)
    return f"<figure><figcaption>{caption}</figcaption><div>{cells}{bars}</div>{notes}</figure>"


def code(text):
    return f'<span class="code">{escape(text)}</span>'


def framed(x, inside):
    """The box around it, which a keyboard can reach to scroll."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    name = f'role="group" aria-label="{escape(type(x).__name__)}" tabindex="0"'
    return f'<div class="tinyllm-repr" {name}><style>{style}</style>{inside}</div>'
