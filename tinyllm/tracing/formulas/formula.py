r"""A formula in TeX with slots for names, and how it becomes MathML.

`<x>` is a slot for the real name of the input x, `<y>` for that of the output, `<dx>` and `<dy>` for their gradients.
`[bias| + <bias>]` stands only where the call had a bias. In an op of any number of arrays `<x>` is the one that the
gradient belongs to and `<xs>` are all of them.
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Formula:
    """forward: TeX, and why one does it; backward: {input: (TeX of what is added to its gradient, why it is that)}."""

    forward: str
    why: str
    backward: dict


def one(forward, why, gradient, why_gradient):
    """The Formula of an op of one array."""
    return Formula(forward, why, {"x": (gradient, why_gradient)})


COPIES = "Where one number was used for many, each use has its own path to the loss, and they are summed."
ROWS = "Every row used the same {}. " + COPIES
MOVED = "The numbers were only moved, so their gradients are moved back."
TAKEN = "The gradient goes where y was taken from."
EACH = "Every target counts for one n-th of the mean."


def present(tex, names):
    """The TeX with the parts in brackets `[bias| …]` kept for the inputs in `names` and left out for others."""
    return re.sub(r"\[(\w+)\|([^\]]*)\]", lambda part: part[2] if part[1] in names else "", tex)


def slots(tex):
    """The names of the slots of a formula."""
    return re.findall(r"<(\w+)>", tex)


def fill(tex, names):
    """The TeX with names in its slots."""
    return re.sub(r"<(\w+)>", lambda slot: rf"\text{{{names[slot[1]]}}}".replace("_", r"\_"), tex)


@cache
def mathml(tex):
    """A formula as MathML; a slot becomes <mtext>‹x›</mtext>, for the page to put the name into."""
    from latex2mathml.converter import convert

    return convert(re.sub(r"<(\w+)>", r"\\text{‹\1›}", tex), display="block")
