"""The picture of step times and memory beside torch's in README: python benchmarks/comparison.py

Drawn from what bench.py --json wrote to benchmarks/results/, with machine, versions and date; needs the extra `plot`.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
MEASURED = RESULTS / "bench-cpu-kernels.json"
EAGER = "torch-eager"
PANELS = {"step_ms": ("time of a step", "{:,.0f} ms"), "peak_memory_mb": ("peak memory, all processes", "{:,.0f} MB")}
COLORS = {"tinyllm": "#2563eb", EAGER: "#9ca3af", "torch-tuned": "#d97706", "torch-compile": "#9333ea"}
SCHEMES = {"light": ("#1f2328", "white"), "dark": ("#e6edf3", "#0d1117")}  # ink and paper


def groups(rows, key):
    """{config: {library: (value / torch eager's, value)}}, in the order of the rows; of times the median of the
    rounds' ratios."""
    eager, found = {row["config"]: row for row in rows if row["peer"] == EAGER}, {}
    for row in rows:
        ratio = row["ratio_to_torch_eager"] if key == "step_ms" else row[key] / eager[row["config"]][key]
        found.setdefault(row["config"], {})[row["peer"]] = ratio, row[key]
    return found


def circumstances(rows):
    """Machine, versions, rounds and days of all rows."""
    versions = {f"{name} {version}" for row in rows for name, version in row["versions"].items()}
    machines, days = {row["machine"] for row in rows}, sorted({row["date"] for row in rows})
    rounds = {row["config"]: f"{row['rounds']} at {row['config']}" for row in rows}
    return ", ".join([*sorted(machines), *sorted(versions), f"medians of rounds: {' '.join(rounds.values())}",
                      " to ".join(dict.fromkeys((days[0], days[-1])))])  # fmt: skip


def draw(rows, path, ink, paper):
    """Bars for each configuration, torch eager's as long as 1; an SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.edgecolor": ink,
             "axes.facecolor": paper, "svg.hashsalt": "tinyllm", "font.size": 9}  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(9, 3.4), layout="constrained", facecolor=paper)
        for axes, (key, (title, form)) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items()):
            bars(axes, groups(rows, key), form)
            axes.set_title(f"{title}, torch eager = 1 (shorter is better)", fontsize=9)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        figure.supxlabel(circumstances(rows), fontsize=7)
        figure.savefig(path, format="svg", metadata={"Date": None})


def bars(axes, grouped, form):
    ticks, place = {}, 0
    for config, libraries in grouped.items():
        ticks[config] = place + (len(libraries) - 1) / 2
        for library, (ratio, value) in libraries.items():
            label = library if config == next(iter(grouped)) else None  # once in the legend
            axes.barh(place, ratio, 0.8, color=COLORS[library], label=label)
            axes.text(ratio, place, f" {ratio:.2f}   {form.format(value)}", va="center", fontsize=8)
            place += 1
        place += 1
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.set_ylim(place - 1, -1)  # the first on top
    axes.margins(x=0.35)
    axes.spines[["top", "right"]].set_visible(False)


def main(folder=RESULTS):
    rows = json.loads(MEASURED.read_text("utf-8"))
    try:
        for scheme, (ink, paper) in SCHEMES.items():
            draw(rows, folder / f"comparison-{scheme}.svg", ink, paper)
    except ModuleNotFoundError as error:
        sys.exit(f"comparison: {error.name} is missing: pip install 'tinyllm-numpy[plot]'")


if __name__ == "__main__":
    main()
