"""Many numbers in, one out."""

from .formula import one

FORMULAS = {
    "sum": one(
        r"<y> = \sum_i <x>_i",
        "Many numbers become one.",
        r"<dx>_i = <dy>",
        "Every term gets the gradient of the sum.",
    ),
    "mean": one(
        r"<y> = \frac{1}{N} \sum_i <x>_i",
        "The sum, shared out evenly.",
        r"<dx>_i = \frac{<dy>}{N}",
        "Each of N terms counts for one N-th.",
    ),
    "max": one(
        r"<y> = \max_i <x>_i",
        "Of many numbers only the largest counts.",
        r"<dx>_i = \frac{<dy>}{k} \text{ where } <x>_i = <y> \text{, else } 0",
        "Only the largest one moved y; k equally large ones share the gradient.",
    ),
    "var": one(
        r"<y> = \frac{1}{N - c} \sum_i (<x>_i - \bar{x})^2",
        "How far the numbers lie from their mean, squared: the mean of that.",
        r"<dx>_i = \frac{2}{N - c} (<x>_i - \bar{x}) <dy>",
        "The path through the mean adds nothing: it is multiplied by a sum of deviations, which is 0.",
    ),
}
