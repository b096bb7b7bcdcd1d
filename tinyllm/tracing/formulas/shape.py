"""The same numbers in another arrangement."""

from .formula import COPIES, MOVED, Formula, one

FORMULAS = {
    "reshape": one(
        r"<y> = <x> \text{ in another shape}",
        "The same numbers in the same order, in another shape.",
        r"<dx> = <dy> \text{ in the old shape}",
        MOVED,
    ),
    "transpose": one(
        r"<y> = <x>^{\top}",
        "The same numbers with two axes exchanged: rows become columns.",
        r"<dx> = <dy>^{\top}",
        MOVED,
    ),
    "permute": one(
        r"<y> = <x> \text{, axes in a new order}",
        "The same numbers, with the axes in another order.",
        r"<dx> = <dy> \text{, axes in the old order}",
        MOVED,
    ),
    "broadcast_to": one(
        r"<y> = <x> \text{, repeated}",
        "One number is used in many places.",
        r"<dx> = \sum_{\text{copies}} <dy>",
        COPIES,
    ),
    "getitem": one(
        r"<y> = <x>[\text{index}]",
        "Some of the numbers are picked; the others play no part from here on.",
        r"<dx>[\text{index}] = <dy>, \quad 0 \text{ elsewhere}",
        "What was not picked had no part in the loss; an element picked twice gets both shares.",
    ),
    "cat": Formula(
        r"<y> = [<xs>]",
        "The arrays are put one after the other; no number changes.",
        {"xs": (r"<dx> = <dy>_{\text{from where it stands}}", "Each array gets its own stretch of the gradient.")},
    ),
    "stack": Formula(
        r"<y> = [<xs>]",
        "The arrays are laid on top of each other, along a new axis.",
        {"xs": (r"<dx> = <dy>_{\text{its slice}}", "Each array gets its own slice.")},
    ),
    "embedding": Formula(
        r"<y>_t = <weight>_{\text{row}}, \quad \text{row} = <ids>_t",
        "A token is only a number; the row of that number is the vector that stands for it, and it is learned.",
        {
            "weight": (
                r"<dweight>_{i} = \sum_{t\,:\,<ids>_t = i} <dy>_t",
                "A token that occurs twice adds twice to its row; a token that does not occur gets nothing.",
            )
        },
    ),
}
