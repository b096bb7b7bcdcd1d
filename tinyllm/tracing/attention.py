"""Where each head looks: the attention weights of a forward pass, as the ops themselves computed them."""

from ..backend import to_numpy
from ..files import replace_file
from ..observe import Observer, observe
from .recorder import saved_names


class AttentionWeights(Observer):
    """Keeps what each causal_attention remembered as P, layer after layer."""

    def __init__(self):
        self.layers = []  # (B, H, T, T) each

    def op_ran(self, op, inputs, options, output, saved):
        if op.__name__ == "causal_attention":
            self.layers.append(to_numpy(saved[saved_names(op).index("P")]))


def attention_weights(model, ids):
    """The attention weights of every layer for one text, in evaluation mode: row i is where position i looks.

    ids (T,) integers  ->  a list of (H, T, T), one a layer
    """
    with model.evaluating(), observe(AttentionWeights()) as heard:
        model(ids[None])
    return [P[0] for P in heard.layers]


def draw_attention(layers, tokens, path, title):
    """One picture, a PNG, with a row of maps for each layer and a column for each head.

    layers: a list of (H, T, T); tokens: T short texts. A map's row is the position that looks, its column where to.
    """
    try:
        from matplotlib.colors import PowerNorm
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'tinyllm-numpy[plot]'") from error
    L, (H, T, _) = len(layers), layers[0].shape
    side = min(5, max(1.2, 0.16 * T, 4 / H))  # inches of a map
    figure = Figure(figsize=(side * H + 1.6, side * L + 1.2), layout="constrained")
    grid = figure.subplots(L, H, sharex=True, sharey=True, squeeze=False)
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            norm = PowerNorm(0.5, 0, 1)  # √P: a weight spread over many positions is still seen
            image = axes.imshow(layers[layer][head], cmap="Blues", norm=norm, interpolation="nearest")
            axes.set_xticks([]), axes.set_yticks([])
            if layer == 0:
                axes.set_title(f"head {head}", fontsize=8)
        row[0].set_ylabel(f"layer {layer}", fontsize=8)
    if T <= 48:
        size = min(8, 72 * side / T)
        for axes in grid[-1]:
            label(axes.set_xticks(range(T), tokens, rotation=90, fontsize=size))
        for axes in grid[:, 0]:
            label(axes.set_yticks(range(T), tokens, fontsize=size))
    figure.suptitle(title, fontsize=9, parse_math=False)
    figure.colorbar(image, ax=grid, label="attention weight", ticks=[0, 0.05, 0.25, 0.5, 1], shrink=0.6)
    replace_file(path, lambda aside: figure.savefig(aside, dpi=150, format="png", metadata={"Software": None}))


def label(ticks):
    for tick in ticks:
        tick.label1.set_parse_math(False)  # a $ is a $


def short(text):
    """A token as it can stand beside a map: what is not seen has a sign."""
    signs = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}
    return "".join(signs.get(c, c if c.isprintable() else "\u25a1") for c in text)
