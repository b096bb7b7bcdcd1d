"""What each op computes and why, and what its backward adds to the gradient of each input, in TeX; and why that."""

from . import elementwise, losses, model, reductions, shape
from .formula import Formula, fill, mathml, present, slots

__all__ = ["CLIP", "FORMULAS", "LOSS_AFTER", "SEED", "UPDATES", "Formula", "fill", "formula_of", "mathml", "present",
           "slots"]  # fmt: skip

FORMULAS = {
    **elementwise.FORMULAS,
    **shape.FORMULAS,
    **reductions.FORMULAS,
    **model.FORMULAS,
    **losses.FORMULAS,
}


# What happens outside of ops, under the names of its functions.
SEED = (
    r"<dy> = \frac{\partial <y>}{\partial <y>} = 1",
    "The loss moves by as much as it moves: the backward starts from 1.",
)
CLIP = (
    r"\text{scale} = \min\left(1, \frac{\text{max norm}}{\text{norm}}\right), \quad \text{norm} = \sqrt{\sum g^2}",
    "All gradients together are made no longer than the max norm; their direction stays.",
)
UPDATES = {
    "adamw": (
        r"\begin{align*}"
        r"& <y> \leftarrow <y>\,(1 - \eta\lambda) - \eta\,\frac{\hat{m}}{\sqrt{\hat{v}} + \varepsilon} \\"
        r"& \hat{m} = \frac{m}{1 - \beta_1^t}, \quad \hat{v} = \frac{v}{1 - \beta_2^t} \end{align*}",
        "m is the mean of the last gradients (which way), √v their usual size: each number takes steps of its own. The"
        " decay λ is scaled by the rate and not by v: that is the W.",
    ),
    "sgd": (r"<y> \leftarrow <y> - \eta\,\text{velocity}", "Downhill, along the mean of the last gradients."),
}
LOSS_AFTER = (
    r"<y> \text{ after} < <y> \text{ before}",
    "The step was taken to make the loss smaller on these very tokens.",
)


def formula_of(op):
    """The Formula of an op; that of one which is not tinyllm's says which function it is."""
    if op.__name__ in FORMULAS:
        return FORMULAS[op.__name__]
    inputs = ["xs"] if op.variadic else op.names
    arrays, name = ", ".join(f"<{x}>" for x in inputs), rf"\operatorname{{{op.__name__}}}".replace("_", r"\_")
    gradient_of = {x: rf"<d{'x' if op.variadic else x}> = {name}'(<dy>, \ldots)" for x in inputs}
    return Formula(rf"<y> = {name}({arrays})", "", {x: (tex, "") for x, tex in gradient_of.items()})
