"""Where a training step of ours goes: the time of each op, forward and backward, the optimizer, and the rest.

    python benchmarks/bench.py --profile --configs micro,baby

The step is that of bench.py, with its kernels and workers; where workers share the sequences, it is what the first of
them does with its share. The functions of the ops are timed as they run: what is left of the forward is the engine and
the model, what is left of the backward the engine, adding up the gradients, and waiting for the other workers. GEMM
floor is what the op's matrix products take at the rate of a large one (the rate of one of the workers). Medians of
rounds, in which the times of a round's steps are added up.
"""

import datetime
import json
import platform
import statistics

from benchmarks import bench
from benchmarks.bench import CONFIGS, Library

REST = {"forward": "engine, model", "backward": "engine, sums, waiting"}
COLUMNS = {  # heading: key, format
    "config": ("config", "{}"), "part": ("part", "{}"), "what": ("what", "{}"), "calls": ("calls", "{:.0f}"),
    "ms": ("ms", "{:.2f}"), "of the step": ("share", "{:.1%}"), "GEMM floor ms": ("floor_ms", "{:.2f}"),
}  # fmt: skip


def profile(config_name, rounds, threads):
    """The rows of one configuration: parts of a step by part, the largest first, then the whole."""
    with Library("tinyllm", config_name, threads, threads, "benchmarks.where_worker") as library:
        library.warm_up()
        measured = [library.ask("round") for _ in range(rounds)]
        rates = [library.ask("gemm") for _ in range(rounds)]
    facts = {
        "rounds": rounds,
        "threads": threads,
        "backend": "numpy",
        "gemm_gflops": statistics.median(rates) / 1e9,
        "versions": {"python": platform.python_version(), **library.versions},
        "machine": f"{platform.system()} {platform.machine()}, {bench.CORES} cores",
        "date": str(datetime.date.today()),
    }
    config = CONFIGS[config_name]
    together = 1 if config.batch_size < threads else threads  # how many such workers share the rate
    return [row | facts for row in rows(config_name, measured, statistics.median(rates) / together)]


def rows(config_name, measured, rate):
    """measured: of each round {"step": [seconds: step, forward, backward, optimizer], "ops": [[op, phase, calls,
    seconds, FLOPs], …]}, a step's; rate: FLOP/s."""
    step, *parts = (statistics.median(part) for part in zip(*(each["step"] for each in measured)))

    def row(part, what, seconds, calls=None, flops=0):
        return {"config": config_name, "part": part, "what": what, "calls": calls, "ms": seconds * 1e3,
                "share": seconds / step, "floor_ms": flops / rate * 1e3 if flops else None}  # fmt: skip

    found = []
    for part, whole in zip(("forward", "backward"), parts):
        ops = []
        for several in zip(*(each["ops"] for each in measured)):  # the same op and phase in each round
            name, phase, calls, _, flops = several[0]
            if phase == part:
                ops.append(row(part, name, statistics.median(each[3] for each in several), calls, flops))
        ops.sort(key=lambda op: -op["ms"])
        found += ops
        rests = [each["step"][1 + (part == "backward")] - sum(op[3] for op in each["ops"] if op[1] == part)
                 for each in measured]  # fmt: skip
        found.append(row(part, REST[part], statistics.median(rests)))
    found.append(row("optimizer", "clip, update", parts[2]))
    flops = sum(op[4] for op in measured[0]["ops"])
    return [*found, row("step", "all", step, None, flops)]


def main(flags):
    found = []
    try:
        for config_name in flags.configs:
            found += profile(config_name, flags.rounds, flags.threads)
    finally:  # what was measured is not lost when the next configuration fails
        if found:
            print(f"{bench.facts(found)}\n\n{bench.table(found, COLUMNS)}", flush=True)
            if flags.json:
                flags.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
