"""What a transformer is made of: products, norms, attention."""

from .formula import ROWS, Formula, one

FORMULAS = {
    "linear": Formula(
        r"<y> = <x>\;<weight>[bias| + <bias>]",
        "Each output is a sum of all inputs, weighted by its column: it answers how much of one pattern is in x.",
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
    "matmul": Formula(
        r"<y> = <a>\;<b>",
        "Each number is a row times a column, summed: how much the two have in common.",
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
    "layer_norm": Formula(
        r"<y> = [weight|<weight> \cdot ]\frac{<x> - \mu}{\sqrt{\sigma^2 + \varepsilon}}[bias| + <bias>]",
        "Each vector is brought to mean 0 and spread 1, so that how large it came in does not matter any more.",
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
    "softmax": one(
        r"<y>_i = \frac{e^{<x>_i}}{\sum_j e^{<x>_j}}",
        "Scores become probabilities: each above 0, and all together 1.",
        r"<dx>_i = <y>_i (<dy>_i - \sum_j <dy>_j <y>_j)",
        "Raising one score lowers every other probability: that is the sum. It makes the gradients add up to 0.",
    ),
    "log_softmax": one(
        r"<y>_i = <x>_i - \log \sum_j e^{<x>_j}",
        "The logarithms of the probabilities, straight from the scores, so that a small one is not rounded to 0.",
        r"<dx>_i = <dy>_i - p_i \sum_j <dy>_j, \quad p = e^{<y>}",
        "Raising one score lowers the logarithm of every probability by p: that is the sum.",
    ),
    "causal_attention": Formula(
        r"\begin{align*}"
        r"P &= \operatorname{softmax}_{j \leq i} \left( \frac{q_i \cdot k_j}{\sqrt{D}} \right) \\"
        r"<y> &= P v, \quad [q\;k\;v] = <qkv>\end{align*}",
        "Each position takes a mean of the values up to its own, weighted by how well its query matches their keys.",
        {
            "qkv": (
                r"\begin{align*} dv &= P^{\top} <dy>, \quad dP = <dy> v^{\top} \\"
                r"dS &= P (dP - \operatorname{sum}_{j}(dP \cdot P)) / \sqrt{D} \\"
                r"dq &= dS\, k, \quad dk = dS^{\top} q \end{align*}",
                "The steps of the forward, from the last to the first. The mask needs none: dS is 0 where P is 0.",
            )
        },
    ),
}
