"""What is to become small."""

from .formula import EACH, Formula

FORMULAS = {
    "cross_entropy": Formula(
        r"\begin{align*} <y> &= -\frac{1}{n} \sum_{i=1}^{n} \log p_{i,t_i} \\"
        r"p &= \operatorname{softmax}(<logits>), \quad t = <targets> \end{align*}",
        "How surprised the model is by the right tokens: −log of the probability it gave to them.",
        {
            "logits": (
                r"\begin{align*} <dlogits> &= \left( p - \text{onehot}(<targets>) \right) \frac{<dy>}{n} \\"
                r"p &= \operatorname{softmax}(<logits>) \end{align*}",
                "What the model said minus what was right: a score is pushed down by the probability it got, "
                "and the right one up by the probability it lacked.",
            )
        },
    ),
    "linear_cross_entropy": Formula(
        r"\begin{align*} <y> &= -\frac{1}{n} \sum_{i=1}^{n} \log p_{i,t_i} \\"
        r"p &= \operatorname{softmax}(<x>\;<weight>^{\top}), \quad t = <targets> \end{align*}",
        "The output layer and its loss in one: how surprised the model is by the right tokens.",
        {
            "x": (
                r"<dx> = \left( p - \text{onehot}(<targets>) \right) <weight> \cdot \frac{<dy>}{n}",
                "x is pushed away from the words that were expected, each by its probability, and to the right one.",
            ),
            "weight": (
                r"<dweight> = \left( p - \text{onehot}(<targets>) \right)^{\top} <x> \cdot \frac{<dy>}{n}",
                "The row of a word is pulled towards every x that it was right for, and pushed away from the others.",
            ),
        },
    ),
    "mse_loss": Formula(
        r"<y> = \operatorname{mean}((<x> - <target>)^2)",
        "How far off it is, squared, so that a large miss weighs more than many small ones.",
        {
            "x": (r"<dx> = 2 (<x> - <target>) \frac{<dy>}{n}", "The slope of a square: the farther off, the steeper."),
            "target": (r"<dtarget> = -2 (<x> - <target>) \frac{<dy>}{n}", "The target pulls the other way."),
        },
    ),
    "binary_cross_entropy": Formula(
        r"<y> = -\operatorname{mean}(<target> \log <p> + (1 - <target>) \log (1 - <p>))",
        "How surprised the prediction is by the target: −log of the probability it gave to what is right.",
        {
            "p": (r"<dp> = \frac{<p> - <target>}{<p> (1 - <p>)} \cdot \frac{<dy>}{n}", EACH),
            "target": (r"<dtarget> = (\log (1 - <p>) - \log <p>) \cdot \frac{<dy>}{n}", EACH),
        },
    ),
    "binary_cross_entropy_with_logits": Formula(
        r"<y> = \operatorname{mean}(\max(<x>, 0) - <x> \cdot <target> + \log (1 + e^{-|<x>|}))",
        "The same surprise, worked out from the score itself, where nothing can overflow.",
        {
            "x": (
                r"<dx> = (\sigma(<x>) - <target>) \cdot \frac{<dy>}{n}",
                "The slope of the sigmoid cancels, so a confident mistake still learns.",
            ),
            "target": (r"<dtarget> = -<x> \cdot \frac{<dy>}{n}", EACH),
        },
    ),
}
