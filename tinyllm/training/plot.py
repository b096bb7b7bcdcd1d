"""The loss curve as a picture, where matplotlib is installed."""

from ..files import replace_file


def draw_loss(metrics, path):
    """Draw training and validation loss over the steps of read_metrics(...) into a PNG; nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss (nats a token)")
    axes.plot([m["step"] for m in metrics], [m["loss"] for m in metrics], color="0.7", lw=0.8, label="training batch")
    evaluated = [m for m in metrics if "val_loss" in m]
    steps, losses = [m["step"] for m in evaluated], [m["val_loss"] for m in evaluated]
    axes.plot(steps, losses, "o-", color="C0", label="validation")
    axes.grid(alpha=0.3)
    axes.legend()
    replace_file(path, lambda aside: figure.savefig(aside, dpi=120, format="png", metadata={"Software": None}))
