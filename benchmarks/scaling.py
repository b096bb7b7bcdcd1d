"""How the time and the memory of a step grow with T, C, L, V and B, beside the model of FLOPs and bytes.

    python benchmarks/bench.py scaling --json scaling.json --picture scaling.png

From a small model on, one size at a time is doubled. The model of the time: its matrix products (Config.flops) at the
rate of a large one, the median of those measured beside each point. The model of the memory: the numbers that a step
has to hold (numbers, below), and what Python, numpy and the workers hold, which is taken from the least model. What
lies between a curve and its model is passes over memory, products too small for that rate, and passing results.
"""

import argparse
import datetime
import json
import platform
import statistics
import sys
from dataclasses import asdict, replace

from benchmarks import bench
from benchmarks.bench import Config, Library

BASE = Config(n_layer=2, n_head=4, n_embd=128, block_size=64, batch_size=8, vocab_size=256, steps=3)
SIZES = {  # letter: the field of Config that it is, and what it is doubled to from its value in BASE
    "T": ("block_size", 512), "C": ("n_embd", 512), "L": ("n_layer", 16), "V": ("vocab_size", 8192),
    "B": ("batch_size", 64),
}  # fmt: skip
QUERIES, LONG = 64, 512  # of the kernel of attention: its blocks, and from which T on it keeps no weights
COLUMNS = {  # heading: key, format
    "size": ("size", "{}"), "": ("value", "{}"), "step ms": ("step_ms", "{:.1f}"),
    "GEMM floor ms": ("floor_ms", "{:.1f}"), "step / floor": ("gemm_floor_ratio", "{:.2f}"),
    "peak MB": ("peak_memory_mb", "{:.0f}"), "model MB": ("model_mb", "{:.0f}"),
}  # fmt: skip


def saved_numbers(config):
    """What the forward keeps for the backward, parameters aside."""
    B, T, C, H, V = config.batch_size, config.block_size, config.n_embd, config.n_head, config.vocab_size
    rows = B * T
    norm = rows * (C + 1)  # x̂, 1/σ
    seen = sum((min(i + QUERIES, T) - i) * min(i + QUERIES, T) for i in range(0, T, QUERIES))
    weights = B * H * (2 * T + (seen if T < LONG else 0))  # the largest and the sum of a row, and the row itself
    attention = rows * (C + 3 * C + C) + weights  # x of c_attn; q, k, v; y
    mlp = rows * (C + 4 * C + 4 * C)  # x of c_fc, the slope, x of c_proj
    return config.n_layer * (2 * norm + attention + mlp) + norm + rows * (C + V)  # the head: x, e^logits


def parameters(config):
    L, C = config.n_layer, config.n_embd
    return 12 * L * C * C + 13 * L * C + 2 * C + (config.vocab_size + config.block_size) * C


def numbers(config):
    """float32 numbers that a step holds: parameters, gradients and two moments; what the forward saved."""
    return 4 * parameters(config) + saved_numbers(config)


def points(letters):
    """[(letter, value, config)], each size from that of BASE on."""
    found = []
    for letter in letters:
        field, last = SIZES[letter]
        value = getattr(BASE, field)
        while value <= last:
            found.append((letter, value, replace(BASE, **{field: value})))
            value *= 2
    return found


def measure(letter, value, config, rounds, threads):
    with Library("tinyllm", json.dumps(asdict(config)), threads, threads, "benchmarks.scaling_worker") as library:
        library.warm_up()
        rates = []
        for _ in range(rounds):
            library.measure()
            rates.append(library.ask("gemm"))
        library.measure_memory()
    return {
        "size": letter,
        "value": value,
        **asdict(config),
        "step_ms": statistics.median(each[0] for each in library.rounds) * 1e3,
        "gflop": config.flops / 1e9,
        "gemm_gflops": statistics.median(rates) / 1e9,
        "peak_memory_mb": library.memory,
        "numbers_mb": 4 * numbers(config) / 2**20,
        "rounds": rounds,
        "threads": threads,
        "versions": {"python": platform.python_version(), **library.versions},
        "machine": f"{platform.system()} {platform.machine()}, {bench.CORES} cores",
        "date": str(datetime.date.today()),
    }


def with_model(rows):
    """Rows with what both models say; that of the memory is right by itself at the row that holds the fewest."""
    rate = statistics.median(row["gemm_gflops"] for row in rows)
    least = min(rows, key=lambda row: row["numbers_mb"])
    fixed = least["peak_memory_mb"] - least["numbers_mb"]
    models = [{"floor_ms": row["gflop"] / rate * 1e3, "model_mb": fixed + row["numbers_mb"]} for row in rows]
    return [row | model | {"gemm_floor_ratio": row["step_ms"] / model["floor_ms"]} for row, model in zip(rows, models)]


def draw(rows, path):
    """Time above and memory below, a column for each size, both axes logarithmic."""
    from matplotlib.figure import Figure

    letters = list(dict.fromkeys(row["size"] for row in rows))
    figure = Figure(figsize=(2.6 * max(len(letters), 2), 5.5), layout="constrained")
    panels = figure.subplots(2, len(letters), squeeze=False, sharey="row")
    lines = (("step_ms", "floor_ms", "ms a step", "matrix products at the rate of a large one"),
             ("peak_memory_mb", "model_mb", "MB at most", "numbers that a step has to hold"))  # fmt: skip
    for axes_of, (measured, model, label, said) in zip(panels, lines):
        for axes, letter in zip(axes_of, letters):
            mine = [row for row in rows if row["size"] == letter]
            values = [row["value"] for row in mine]
            axes.loglog(values, [row[measured] for row in mine], "o-", base=2, label="measured")
            axes.loglog(values, [row[model] for row in mine], "--", base=2, color="0.4", label=said)
            axes.set_xticks(values, values)
            axes.set_xlabel(letter)
        axes_of[0].set_ylabel(label)
        axes_of[0].legend(fontsize=6)
        axes_of[0].yaxis.set_major_formatter("{x:g}")
    rate = statistics.median(row["gemm_gflops"] for row in rows)
    figure.suptitle(f"{bench.circumstances(rows)}, matrix products at {rate:.0f} GFLOP/s", fontsize=8)
    figure.savefig(path)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench.py scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=bench.names(*SIZES), default=list(SIZES), help=f"of {','.join(SIZES)}")
    parser.add_argument("--rounds", type=bench.positive, default=5, help="of each point")
    parser.add_argument("--threads", type=bench.threads, default=bench.CORES, help="workers (all cores)")
    parser.add_argument("--json", type=bench.writable, help="also write the rows to this file")
    parser.add_argument("--picture", type=bench.writable, help="also draw them, a .png or .svg (extra plot)")
    flags = parser.parse_args(arguments)
    if flags.picture and flags.picture.suffix not in (".png", ".svg"):
        parser.error(f"--picture must be a .png or an .svg, not {str(flags.picture)!r}")
    if flags.picture and not bench.importlib.util.find_spec("matplotlib"):
        parser.error("--picture needs matplotlib: pip install 'tinyllm-numpy[plot]'")
    return flags


def main(arguments):
    flags = parse(arguments)
    rows = []
    for point in points(flags.sizes):
        if sys.stderr.isatty():
            print(f"measuring {point[0]}={point[1]}", file=sys.stderr)
        rows.append(measure(*point, flags.rounds, flags.threads))
    rows = with_model(rows)
    print(f"{bench.circumstances(rows)}\n\n{bench.table(rows, COLUMNS)}", flush=True)
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if flags.picture:
        draw(rows, flags.picture)
