"""How `tinyllm generate --explain` shows the choice of a token."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..generation import log_softmax
from .text import visible

TOP = 8  # candidates shown


def print_explanation(rules, logits, seen, chosen, tokenizer, number):
    """The candidates for new token `number` before and after each rule, and what was cut.

    logits (V,)  seen (T,) ids
    """
    stages = rules.explain(logits, seen)
    log_prob, rank = log_softmax(logits)[chosen], 1 + int((logits > logits[chosen]).sum())
    table = Table(box=None, pad_edge=False, title_justify="left", title_style="bold", header_style="dim",
                  title=f"token {number}: {shown(tokenizer, chosen)}, the model's number {rank}, "
                        f"log-probability {log_prob:.3f}")  # fmt: skip
    table.add_column("", no_wrap=True)
    for stage in stages:
        table.add_column(stage.name.replace(" ", "\n").replace("repetition_", "repetition\n"), justify="right")
    first = stages[0].probabilities
    top = (-first).argsort(kind="stable")[:TOP].tolist()
    for i in top if chosen in top else [*top, chosen]:
        cells, gone = [], False
        for stage in stages:
            gone = gone or i in stage.cut
            cells.append(Text("cut", "dim") if gone else Text(f"{stage.probabilities[i]:.4f}"))
        table.add_row(Text(shown(tokenizer, i), "bold" if i == chosen else ""), *cells)
    counts = [f"{len(stage.cut):,}" if stage.cut.size else "" for stage in stages]
    before = [first, *(stage.probabilities for stage in stages)]
    shares = [f"{p[stage.cut].sum():.4f}" if stage.cut.size else "" for p, stage in zip(before, stages)]
    table.add_row(*(Text(cell, "dim") for cell in ("tokens cut here", *counts)))
    table.add_row(*(Text(cell, "dim") for cell in ("which had", *shares)))
    console = Console(highlight=False)
    console.print(table)
    console.print()


def shown(tokenizer, token):
    """A token's text in quotes, on one line."""
    return visible(repr(tokenizer.decode([token])))
