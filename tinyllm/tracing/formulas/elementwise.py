"""One number in, one number out."""

from .formula import TAKEN, Formula, one

FORMULAS = {
    "add": Formula(
        r"<y> = <a> + <b>",
        "What both bring is summed, element by element; a residual adds what a sublayer found to what was there.",
        {
            "a": (r"<da> = <dy>", "A sum passes its gradient on unchanged, to both."),
            "b": (r"<db> = <dy>", "A sum passes its gradient on unchanged, to both."),
        },
    ),
    "subtract": Formula(
        r"<y> = <a> - <b>",
        "How much larger the one is than the other.",
        {
            "a": (r"<da> = <dy>", "A difference passes its gradient on unchanged to what it started from."),
            "b": (r"<db> = -<dy>", "What is taken off pulls the other way."),
        },
    ),
    "multiply": Formula(
        r"<y> = <a> \cdot <b>",
        "Each number scales the other one.",
        {
            "a": (r"<da> = <dy> \cdot <b>", "Each factor is scaled by the other one."),
            "b": (r"<db> = <dy> \cdot <a>", "Each factor is scaled by the other one."),
        },
    ),
    "divide": Formula(
        r"<y> = \frac{<a>}{<b>}",
        "Each number is scaled by one over the other.",
        {
            "a": (r"<da> = \frac{<dy>}{<b>}", "The numerator is scaled by 1/b, and so is its gradient."),
            "b": (r"<db> = -\frac{<dy> \cdot <y>}{<b>}", "The slope of a/b by b is −a/b², which is −y/b."),
        },
    ),
    "power": Formula(
        r"<y> = <a>^{<b>}",
        "One number multiplied by itself as often as the other says.",
        {
            "a": (r"<da> = <dy> \cdot <b> \cdot <a>^{<b> - 1}", "The slope of a power: one exponent less."),
            "b": (r"<db> = <dy> \cdot <y> \cdot \log <a>", "As an exponent grows, y grows in proportion to itself."),
        },
    ),
    "maximum": Formula(
        r"<y> = \max(<a>, <b>)",
        "Of each pair the larger one passes.",
        {
            "a": (r"<da> = <dy> \text{ where } <a> > <b>", "The larger one gets it all; a tie is split in half."),
            "b": (r"<db> = <dy> \text{ where } <b> > <a>", "The larger one gets it all; a tie is split in half."),
        },
    ),
    "where": Formula(
        r"<y> = <a> \text{ where } <condition> \text{, else } <b>",
        "Each number is taken from the one or from the other, as the condition says.",
        {
            "a": (r"<da> = <dy> \text{ where } <condition> \text{, else } 0", TAKEN),
            "b": (r"<db> = 0 \text{ where } <condition> \text{, else } <dy>", TAKEN),
        },
    ),
    "negative": one(
        r"<y> = -<x>",
        "Every number changes its sign.",
        r"<dx> = -<dy>",
        "The slope of −x is −1.",
    ),
    "exp": one(
        r"<y> = e^{<x>}",
        "Sums become products, and every number becomes positive.",
        r"<dx> = <dy> \cdot <y>",
        "eˣ is its own derivative.",
    ),
    "log": one(
        r"<y> = \log <x>",
        "Products become sums; the closer to 0, the more negative.",
        r"<dx> = \frac{<dy>}{<x>}",
        "The slope of the logarithm is 1/x.",
    ),
    "sqrt": one(
        r"<y> = \sqrt{<x>}",
        "The number whose square is x.",
        r"<dx> = \frac{<dy>}{2 <y>}",
        "The slope of the root is 1/2y.",
    ),
    "abs": one(
        r"<y> = |<x>|",
        "The distance from 0, on whichever side.",
        r"<dx> = <dy> \cdot \operatorname{sign} <x>",
        "Left of 0 the slope is −1, right of it 1; at 0 it is taken to be 0.",
    ),
    "clip": one(
        r"<y> = \min(\max(<x>, \text{min}), \text{max})",
        "What lies beyond a bound is set to the bound.",
        r"<dx> = <dy> \text{ where } \text{min} \leq <x> \leq \text{max, else } 0",
        "Where it was cut off, y no longer moves with x.",
    ),
    "sigmoid": one(
        r"<y> = \frac{1}{1 + e^{-<x>}}",
        "Any score becomes a probability between 0 and 1.",
        r"<dx> = <dy> \cdot <y> (1 - <y>)",
        "The slope of the sigmoid is y (1 − y).",
    ),
    "tanh": one(
        r"<y> = \tanh <x>",
        "Any number is squeezed into −1 … 1.",
        r"<dx> = <dy> (1 - <y>^2)",
        "The slope of tanh is 1 − y².",
    ),
    "relu": one(
        r"<y> = \max(<x>, 0)",
        "What is below 0 is turned off; the rest passes unchanged.",
        r"<dx> = <dy> \text{ where } <y> > 0 \text{, else } 0",
        "A unit that is off learns nothing.",
    ),
    "gelu_tanh": one(
        r"\begin{align*} <y> &= <x> \cdot s, \quad s = \frac{1}{2} (1 + \tanh u) \\"
        r"u &= \sqrt{2/\pi}\,(<x> + 0.044715\,<x>^3) \end{align*}",
        "A smooth switch: large numbers pass, far negative ones are turned off; GPT-2 was trained with this form.",
        r"\begin{align*} <dx> &= <dy> (s + <x> \cdot s'), \quad s' = 2 s (1 - s)\,u' \\"
        r"u' &= \sqrt{2/\pi}\,(1 + 3 \cdot 0.044715\,<x>^2) \end{align*}",
        "The product rule: x is a factor and also moves s. 2 s (1 − s) is ½ (1 − tanh² u).",
    ),
    "gelu_erf": one(
        r"<y> = <x>\,\Phi(<x>), \quad \Phi(x) = \frac{1}{2} (1 + \operatorname{erf} \frac{x}{\sqrt{2}})",
        "A smooth switch: large numbers pass, far negative ones are turned off.",
        r"<dx> = <dy> \left( \Phi(<x>) + <x>\,\varphi(<x>) \right),"
        r"\quad \varphi(x) = \frac{e^{-x^2/2}}{\sqrt{2\pi}}",
        "The product rule: x is a factor and also moves Φ, whose slope is the bell curve φ.",
    ),
    "dropout": Formula(
        r"<y> = \frac{<x> \cdot <keep>}{1 - p}",
        "Some numbers are dropped at random, so that none is relied upon; the rest are scaled so that the mean stays.",
        {"x": (r"<dx> = \frac{<dy> \cdot <keep>}{1 - p}", "What was dropped had no part in the loss.")},
    ),
}
