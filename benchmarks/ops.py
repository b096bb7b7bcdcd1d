"""Each op of a training step beside torch's op and beside the roofline, and what its forward keeps in memory.

    python benchmarks/bench.py ops                               micro, on one thread
    python benchmarks/bench.py ops --config baby --rounds 9 --json ops.json

The calls are those that the model makes, on the arrays of the whole batch. They are timed one by one, each library in
a process of its own, in turns; what is printed are medians of the rounds, and of the ratio to torch in each. roof is
the share of the time that the op would take if it did nothing but its matrix products at the rate of a large one, or
nothing but reading and writing each of its arrays once at the rate of a large sum, whichever is longer (roofline.py).
It can be more than 100 % where arrays are still in a cache. One thread is what an op gets in a step that workers
share; with --threads 2 threads share each op, as where a batch has fewer sequences than workers. saves: what all its
calls keep for the backward, other than parameters and what an earlier op keeps already. The last line sums up the
step. Views (reshape, a part of an array) move nothing and are left out.
"""

import argparse
import datetime
import json
import platform
import statistics
from contextlib import ExitStack
from math import prod

from benchmarks import bench, roofline
from benchmarks.bench import CONFIGS, Library

PHASES = ("forward", "backward")
PEERS = ("torch-eager", "torch-tuned")
ALL = "all"
COLUMNS = {  # heading: key, format
    "op": ("op", "{}"), "arrays": ("arrays", "{}"), "calls": ("calls", "{}"),
    "forward ms": ("forward_ms", "{:.3f}"), "/ torch": ("forward_ratio", "{:.2f}"), "roof": ("forward_roof", "{:.0%}"),
    "backward ms": ("backward_ms", "{:.3f}"), " / torch": ("backward_ratio", "{:.2f}"),
    " roof": ("backward_roof", "{:.0%}"), "GFLOP": ("gflop", "{:.3f}"), "MB moved": ("moved_mb", "{:.1f}"),
    "saves MB": ("saved_mb", "{:.2f}"),
}  # fmt: skip


def measure(flags):
    """A row for each kind of call, and one for all of them."""
    with ExitStack() as stack:
        names = ["tinyllm"] + [flags.peer] * (flags.peer != "none")
        libraries = [
            stack.enter_context(Library(name, flags.config, flags.threads, flags.threads, "benchmarks.ops_worker"))
            for name in names
        ]
        for library in libraries:
            library.warm_up()
        calls = libraries[0].ask("calls")
        rounds, rates = [[] for _ in calls], []
        for _ in range(flags.rounds):
            rates.append(libraries[0].ask("rates"))
            for call, measured in zip(calls, rounds):
                measured.append([library.ask(json.dumps(call)) for library in libraries])
    rates = {name: statistics.median(rate[name] for rate in rates) for name in rates[0]}
    rows = [numbers(call, measured, rates) for call, measured in zip(calls, rounds)]
    versions = {name: version for library in libraries for name, version in library.versions.items()}
    facts = {
        "config": flags.config,
        "peer": flags.peer,
        "gemm_gflops": rates["gemm"] / 1e9,
        "bandwidth_gb_per_second": rates["bandwidth"] / 1e9,
        "rounds": flags.rounds,
        "threads": flags.threads,
        "versions": {"python": platform.python_version(), **versions},
        "machine": f"{platform.system()} {platform.machine()}, {bench.CORES} cores",
        "date": str(datetime.date.today()),
    }
    return [row | facts for row in (*rows, total(rows))]


def numbers(call, measured, rates):
    """What one kind of call takes; measured: of each round, (forward, backward) of ours and of torch's if it has it."""
    shapes = [described and described[0] for described in call["arrays"]]
    flop = roofline.flops(call["op"], shapes)
    moved = roofline.moved(call["op"], call["arrays"], y_shape(call["op"], shapes))
    row = {"op": call["op"], "arrays": " ".join("×".join(map(str, shape)) for shape in shapes if shape),
           "calls": call["calls"], "gflop": 3 * flop / 1e9, "moved_mb": sum(moved) / 1e6,
           "saved_mb": call["saved"] / 1e6}  # fmt: skip
    for i, phase in enumerate(PHASES):
        ours = statistics.median(libraries[0][i] for libraries in measured)
        torch = [libraries[1][i] for libraries in measured if len(libraries) > 1 and libraries[1]]
        ratios = [libraries[0][i] / theirs for libraries, theirs in zip(measured, torch)]
        floor = roofline.seconds(flop * (i + 1), moved[i], rates)
        row |= {f"{phase}_ms": ours * 1e3, f"{phase}_torch_ms": statistics.median(torch) * 1e3 if torch else None,
                f"{phase}_ratio": statistics.median(ratios) if ratios else None,
                f"{phase}_roof": floor / ours, f"{phase}_floor_ms": floor * 1e3}  # fmt: skip
    return row


def y_shape(op, shapes):
    if op == "linear":
        return (*shapes[0][:-1], shapes[1][1])
    if op == "embedding":
        return (*shapes[0], shapes[1][1])
    if op == "causal_attention":
        return (*shapes[0][:-1], shapes[0][-1] // 3)
    return () if op.endswith("cross_entropy") else max(filter(None, shapes), key=prod)


def total(rows):
    """All calls of a step together."""

    def summed(key, rows=rows):
        return sum(row["calls"] * row[key] for row in rows)

    row = {"op": ALL, "arrays": "", "calls": sum(row["calls"] for row in rows), "gflop": summed("gflop"),
           "moved_mb": summed("moved_mb"), "saved_mb": sum(row["saved_mb"] for row in rows)}  # fmt: skip
    for phase in PHASES:
        both = [row for row in rows if row[f"{phase}_ratio"] is not None]
        torch = summed(f"{phase}_torch_ms", both)
        floor = summed(f"{phase}_floor_ms")
        row |= {f"{phase}_ms": summed(f"{phase}_ms"), f"{phase}_torch_ms": torch if both else None,
                f"{phase}_ratio": summed(f"{phase}_ms", both) / torch if both else None,
                f"{phase}_roof": floor / summed(f"{phase}_ms"), f"{phase}_floor_ms": floor}  # fmt: skip
    return row


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench.py ops", description=__doc__.partition("\n")[0])
    parser.add_argument("--config", choices=CONFIGS, default="micro", help="the model and the batch")
    parser.add_argument("--peer", choices=(*PEERS, "none"), default="torch-eager", help="what to compare with")
    parser.add_argument("--rounds", type=bench.positive, default=7, help="turns of each library")
    parser.add_argument("--threads", type=bench.threads, default=1, help="of each library (1)")
    parser.add_argument("--json", type=bench.writable, help="also write the rows to this file")
    flags = parser.parse_args(arguments)
    if flags.peer != "none":
        bench.need_torch(parser, [flags.peer], "--peer")
    return flags


def main(arguments):
    flags = parse(arguments)
    rows = measure(flags)
    print(f"{flags.config}: {bench.circumstances(rows)}, matrix products at {rows[0]['gemm_gflops']:.0f} GFLOP/s, "
          f"memory at {rows[0]['bandwidth_gb_per_second']:.0f} GB/s\n\n{bench.table(rows, COLUMNS)}", flush=True)
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
