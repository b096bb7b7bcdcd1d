r"""What each op computes, and what its backward adds to the gradient of each input, in TeX; and why.

`<x>` is a slot for the real name of the input x, `<y>` for that of the output, `<dx>` and `<dy>` for their gradients.
`[bias| + <bias>]` stands only where the call had a bias. In an op of any number of arrays `<x>` is the one that the
gradient belongs to and `<xs>` are all of them.
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Formula:
    """forward: TeX; backward: {input: (TeX of what is added to its gradient, why)}."""

    forward: str
    backward: dict


def _one(forward, gradient, why):
    return Formula(forward, {"x": (gradient, why)})


COPIES = "Where one number was used for many, each use has its own path to the loss, and they are summed."
ROWS = "Every row used the same {}. " + COPIES
MOVED = "The numbers were only moved, so their gradients are moved back."
TAKEN = "The gradient goes where y was taken from."
EACH = "Every target counts for one n-th of the mean."

FORMULAS = {
    "abs": _one(
        r"<y> = |<x>|",
        r"<dx> = <dy> \cdot \operatorname{sign} <x>",
        "Left of 0 the slope is −1, right of it 1; at 0 it is taken to be 0.",
    ),
    "add": Formula(
        r"<y> = <a> + <b>",
        {
            "a": (r"<da> = <dy>", "A sum passes its gradient on unchanged, to both."),
            "b": (r"<db> = <dy>", "A sum passes its gradient on unchanged, to both."),
        },
    ),
    "binary_cross_entropy": Formula(
        r"<y> = -\operatorname{mean}(<target> \log <p> + (1 - <target>) \log (1 - <p>))",
        {
            "p": (r"<dp> = \frac{<p> - <target>}{<p> (1 - <p>)} \cdot \frac{<dy>}{n}", EACH),
            "target": (r"<dtarget> = (\log (1 - <p>) - \log <p>) \cdot \frac{<dy>}{n}", EACH),
        },
    ),
    "binary_cross_entropy_with_logits": Formula(
        r"<y> = \operatorname{mean}(\max(<x>, 0) - <x> \cdot <target> + \log (1 + e^{-|<x>|}))",
        {
            "x": (
                r"<dx> = (\sigma(<x>) - <target>) \cdot \frac{<dy>}{n}",
                "The slope of the sigmoid cancels, so a confident mistake still learns.",
            ),
            "target": (r"<dtarget> = -<x> \cdot \frac{<dy>}{n}", EACH),
        },
    ),
    "broadcast_to": _one(r"<y> = <x> \text{, repeated}", r"<dx> = \sum_{\text{copies}} <dy>", COPIES),
    "cat": Formula(
        r"<y> = [<xs>]",
        {"xs": (r"<dx> = <dy>_{\text{from where it stands}}", "Each array gets its own stretch of the gradient.")},
    ),
    "causal_attention": Formula(
        r"\begin{align*}"
        r"P &= \operatorname{softmax}_{j \leq i} \left( \frac{q_i \cdot k_j}{\sqrt{D}} \right) \\"
        r"<y> &= P v, \quad [q\;k\;v] = <qkv>\end{align*}",
        {
            "qkv": (
                r"\begin{align*} dv &= P^{\top} <dy>, \quad dP = <dy> v^{\top} \\"
                r"dS &= P (dP - \operatorname{sum}_{j}(dP \cdot P)) / \sqrt{D} \\"
                r"dq &= dS\, k, \quad dk = dS^{\top} q \end{align*}",
                "The steps of the forward, from the last to the first. The mask needs none: dS is 0 where P is 0.",
            )
        },
    ),
    "clip": _one(
        r"<y> = \min(\max(<x>, \text{min}), \text{max})",
        r"<dx> = <dy> \text{ where } \text{min} \leq <x> \leq \text{max, else } 0",
        "Where it was cut off, y no longer moves with x.",
    ),
    "cross_entropy": Formula(
        r"\begin{align*} <y> &= -\frac{1}{n} \sum_{i=1}^{n} \log p_{i,t_i} \\"
        r"p &= \operatorname{softmax}(<logits>), \quad t = <targets> \end{align*}",
        {
            "logits": (
                r"\begin{align*} <dlogits> &= \left( p - \text{onehot}(<targets>) \right) \frac{<dy>}{n} \\"
                r"p &= \operatorname{softmax}(<logits>) \end{align*}",
                "What the model said minus what was right: a score is pushed down by the probability it got, "
                "and the right one up by the probability it lacked.",
            )
        },
    ),
    "divide": Formula(
        r"<y> = \frac{<a>}{<b>}",
        {
            "a": (r"<da> = \frac{<dy>}{<b>}", "The numerator is scaled by 1/b, and so is its gradient."),
            "b": (r"<db> = -\frac{<dy> \cdot <y>}{<b>}", "The slope of a/b by b is −a/b², which is −y/b."),
        },
    ),
    "dropout": Formula(
        r"<y> = \frac{<x> \cdot <keep>}{1 - p}",
        {"x": (r"<dx> = \frac{<dy> \cdot <keep>}{1 - p}", "What was dropped had no part in the loss.")},
    ),
    "embedding": Formula(
        r"<y>_t = <weight>_{\text{row}}, \quad \text{row} = <ids>_t",
        {
            "weight": (
                r"<dweight>_{i} = \sum_{t\,:\,<ids>_t = i} <dy>_t",
                "A token that occurs twice adds twice to its row; a token that does not occur gets nothing.",
            )
        },
    ),
    "exp": _one(r"<y> = e^{<x>}", r"<dx> = <dy> \cdot <y>", "eˣ is its own derivative."),
    "gelu_erf": _one(
        r"<y> = <x>\,\Phi(<x>), \quad \Phi(x) = \frac{1}{2} (1 + \operatorname{erf} \frac{x}{\sqrt{2}})",
        r"<dx> = <dy> \left( \Phi(<x>) + <x>\,\varphi(<x>) \right),"
        r"\quad \varphi(x) = \frac{e^{-x^2/2}}{\sqrt{2\pi}}",
        "The product rule: x is a factor and also moves Φ, whose slope is the bell curve φ.",
    ),
    "gelu_tanh": _one(
        r"\begin{align*} <y> &= <x> \cdot s, \quad s = \frac{1}{2} (1 + \tanh u) \\"
        r"u &= \sqrt{2/\pi}\,(<x> + 0.044715\,<x>^3) \end{align*}",
        r"\begin{align*} <dx> &= <dy> (s + <x> \cdot s'), \quad s' = 2 s (1 - s)\,u' \\"
        r"u' &= \sqrt{2/\pi}\,(1 + 3 \cdot 0.044715\,<x>^2) \end{align*}",
        "The product rule: x is a factor and also moves s. 2 s (1 − s) is ½ (1 − tanh² u).",
    ),
    "getitem": _one(
        r"<y> = <x>[\text{index}]",
        r"<dx>[\text{index}] = <dy>, \quad 0 \text{ elsewhere}",
        "What was not picked had no part in the loss; an element picked twice gets both shares.",
    ),
    "layer_norm": Formula(
        r"<y> = [weight|<weight> \cdot ]\frac{<x> - \mu}{\sqrt{\sigma^2 + \varepsilon}}[bias| + <bias>]",
        {
            "x": (
                r"\begin{align*} <dx> &= \frac{1}{\sigma} \left( d\hat{x} - \overline{d\hat{x}}"
                r" - \hat{x} \cdot \overline{d\hat{x} \cdot \hat{x}} \right) \\"
                r"d\hat{x} &= <dy>[weight| \cdot <weight>] \end{align*}",
                "x̂ depends on its whole vector through μ and σ: that is where the two means (the bars) come from.",
            ),
            "weight": (r"<dweight> = \sum_{\text{rows}} <dy> \cdot \hat{x}", ROWS.format("weight")),
            "bias": (r"<dbias> = \sum_{\text{rows}} <dy>", ROWS.format("bias")),
        },
    ),
    "linear": Formula(
        r"<y> = <x>\;<weight>[bias| + <bias>]",
        {
            "x": (
                r"<dx> = <dy>\;<weight>^{\top}",
                "x reached every output of its row by way of the weight; the transpose says which index is summed.",
            ),
            "weight": (
                r"<dweight> = <x>^{\top}\,<dy>",
                "The weight is the same for every row, so each row adds its share: that is the sum in the product.",
            ),
            "bias": (r"<dbias> = \sum_{\text{rows}} <dy>", ROWS.format("bias")),
        },
    ),
    "log": _one(r"<y> = \log <x>", r"<dx> = \frac{<dy>}{<x>}", "The slope of the logarithm is 1/x."),
    "log_softmax": _one(
        r"<y>_i = <x>_i - \log \sum_j e^{<x>_j}",
        r"<dx>_i = <dy>_i - p_i \sum_j <dy>_j, \quad p = e^{<y>}",
        "Raising one score lowers the logarithm of every probability by p: that is the sum.",
    ),
    "matmul": Formula(
        r"<y> = <a>\;<b>",
        {
            "a": (
                r"<da> = <dy>\;<b>^{\top}",
                "a reached every output of its row by way of b; the transpose only says which index is summed.",
            ),
            "b": (
                r"<db> = <a>^{\top}\,<dy>",
                "b reached every output of its column by way of a; the transpose only says which index is summed.",
            ),
        },
    ),
    "max": _one(
        r"<y> = \max_i <x>_i",
        r"<dx>_i = \frac{<dy>}{k} \text{ where } <x>_i = <y> \text{, else } 0",
        "Only the largest one moved y; k equally large ones share the gradient.",
    ),
    "maximum": Formula(
        r"<y> = \max(<a>, <b>)",
        {
            "a": (r"<da> = <dy> \text{ where } <a> > <b>", "The larger one gets it all; a tie is split in half."),
            "b": (r"<db> = <dy> \text{ where } <b> > <a>", "The larger one gets it all; a tie is split in half."),
        },
    ),
    "mean": _one(r"<y> = \frac{1}{N} \sum_i <x>_i", r"<dx>_i = \frac{<dy>}{N}", "Each of N terms counts for one N-th."),
    "mse_loss": Formula(
        r"<y> = \operatorname{mean}((<x> - <target>)^2)",
        {
            "x": (r"<dx> = 2 (<x> - <target>) \frac{<dy>}{n}", "The slope of a square: the farther off, the steeper."),
            "target": (r"<dtarget> = -2 (<x> - <target>) \frac{<dy>}{n}", "The target pulls the other way."),
        },
    ),
    "multiply": Formula(
        r"<y> = <a> \cdot <b>",
        {
            "a": (r"<da> = <dy> \cdot <b>", "Each factor is scaled by the other one."),
            "b": (r"<db> = <dy> \cdot <a>", "Each factor is scaled by the other one."),
        },
    ),
    "negative": _one(r"<y> = -<x>", r"<dx> = -<dy>", "The slope of −x is −1."),
    "permute": _one(
        r"<y> = <x> \text{, axes in a new order}", r"<dx> = <dy> \text{, axes in the old order}", MOVED
    ),
    "power": Formula(
        r"<y> = <a>^{<b>}",
        {
            "a": (r"<da> = <dy> \cdot <b> \cdot <a>^{<b> - 1}", "The slope of a power: one exponent less."),
            "b": (r"<db> = <dy> \cdot <y> \cdot \log <a>", "As an exponent grows, y grows in proportion to itself."),
        },
    ),
    "relu": _one(
        r"<y> = \max(<x>, 0)",
        r"<dx> = <dy> \text{ where } <y> > 0 \text{, else } 0",
        "A unit that is off learns nothing.",
    ),
    "reshape": _one(r"<y> = <x> \text{ in another shape}", r"<dx> = <dy> \text{ in the old shape}", MOVED),
    "sigmoid": _one(
        r"<y> = \frac{1}{1 + e^{-<x>}}", r"<dx> = <dy> \cdot <y> (1 - <y>)", "The slope of the sigmoid is y (1 − y)."
    ),
    "softmax": _one(
        r"<y>_i = \frac{e^{<x>_i}}{\sum_j e^{<x>_j}}",
        r"<dx>_i = <y>_i (<dy>_i - \sum_j <dy>_j <y>_j)",
        "Raising one score lowers every other probability: that is the sum. It makes the gradients add up to 0.",
    ),
    "sqrt": _one(r"<y> = \sqrt{<x>}", r"<dx> = \frac{<dy>}{2 <y>}", "The slope of the root is 1/2y."),
    "stack": Formula(r"<y> = [<xs>]", {"xs": (r"<dx> = <dy>_{\text{its slice}}", "Each array gets its own slice.")}),
    "subtract": Formula(
        r"<y> = <a> - <b>",
        {
            "a": (r"<da> = <dy>", "A difference passes its gradient on unchanged to what it started from."),
            "b": (r"<db> = -<dy>", "What is taken off pulls the other way."),
        },
    ),
    "sum": _one(r"<y> = \sum_i <x>_i", r"<dx>_i = <dy>", "Every term gets the gradient of the sum."),
    "tanh": _one(r"<y> = \tanh <x>", r"<dx> = <dy> (1 - <y>^2)", "The slope of tanh is 1 − y²."),
    "transpose": _one(r"<y> = <x>^{\top}", r"<dx> = <dy>^{\top}", MOVED),
    "var": _one(
        r"<y> = \frac{1}{N - c} \sum_i (<x>_i - \bar{x})^2",
        r"<dx>_i = \frac{2}{N - c} (<x>_i - \bar{x}) <dy>",
        "The path through the mean adds nothing: it is multiplied by a sum of deviations, which is 0.",
    ),
    "where": Formula(
        r"<y> = <a> \text{ where } <condition> \text{, else } <b>",
        {
            "a": (r"<da> = <dy> \text{ where } <condition> \text{, else } 0", TAKEN),
            "b": (r"<db> = 0 \text{ where } <condition> \text{, else } <dy>", TAKEN),
        },
    ),
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
    return Formula(rf"<y> = {name}({arrays})", {x: (tex, "") for x, tex in gradient_of.items()})


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
