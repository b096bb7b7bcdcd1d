"""Everything that a learning policy says of itself, as a picture, where matplotlib is installed."""

import math

from ..files import replace_file

LEFT_OUT = {"step", "tokens_per_second", "hacking"}


def draw_policy(metrics, kl_limit, path):
    """A curve for each number of read_metrics(...), and the reward over the KL divergence that it was bought with.

    On the last one, a healthy training climbs; one that hacks its reward wanders off to the right, past kl_limit.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    names = [name for name in dict.fromkeys(name for m in metrics for name in m) if name not in LEFT_OUT]
    columns = 4
    rows = math.ceil((len(names) + 1) / columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows))
    places = iter(figure.subplots(rows, columns, squeeze=False).reshape(-1))
    for name in names:
        axes, there = next(places), [m for m in metrics if name in m]
        axes.plot([m["step"] for m in there], [m[name] for m in there], "o-" if name.startswith("val_") else "-", ms=3)
        axes.set(title=name.replace("_", " "))
    axes = next(places)
    axes.plot([m["kl"] for m in metrics], [m["reward"] for m in metrics], color="0.8", lw=0.8, zorder=1)
    axes.scatter([m["kl"] for m in metrics], [m["reward"] for m in metrics], c=[m["step"] for m in metrics], s=8)
    axes.axvline(kl_limit, color="C3", ls="--", lw=1)
    axes.set(title="reward over KL (nats an answer)")
    for axes in places:
        axes.axis("off")
    figure.subplots_adjust(0.05, 0.04, 0.98, 0.96, hspace=0.4, wspace=0.25)  # "constrained" takes seconds
    replace_file(path, lambda aside: figure.savefig(aside, dpi=100, format="png", metadata={"Software": None}))
