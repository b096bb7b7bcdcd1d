"""Generating at batch 1, with and without the KV cache, beside PyTorch with one and beside the memory's speed.

    python benchmarks/bench.py generate
    python benchmarks/bench.py generate --config micro --prompt 16 --tokens 8 --peers none
    python benchmarks/bench.py generate --backend cupy --precision bf16 --tokens 128 --peers torch,torch-compile

Each library runs in a process of its own with the same number of threads, and they take turns, round by round; what
is printed are medians of the rounds, and of the ratio to torch in each round. A new token has to read every weight
once: floor is what that takes at the rate at which numpy reads as many bytes in one matrix-vector product, measured
every round. On a GPU the rate is that of a copy, a greedy token of ours is one graph, and torch-compile is torch with
shapes that never change, compiled to a graph too (mode="reduce-overhead").
"""

import argparse
import datetime
import json
import platform
import statistics
from contextlib import ExitStack

from benchmarks import bench
from benchmarks.bench import CONFIGS, Library
from benchmarks.generate_worker import weight_bytes

WORKERS = {"numpy": "benchmarks.generate_worker", "cupy": "benchmarks.gpu_generate_worker"}
NO_CACHE_TOKENS = 2  # in a round: each takes as long as the prompt
COLUMNS = {  # heading: key, format
    "config": ("config", "{}"), "precision": ("precision", "{}"), "library": ("peer", "{}"),
    "tokens/s": ("tokens_per_second", "{:.1f}"),
    "ms a token": ("token_ms", "{:.2f}"), "speed / torch": ("speed_to_torch", "{:.2f}"),
    "floor ms": ("floor_ms", "{:.2f}"), "share of floor": ("floor_share", "{:.0%}"),
    "prompt ms": ("prompt_ms", "{:.0f}"), "peak MB": ("peak_memory_mb", "{:,.0f}"),
}  # fmt: skip


def measure(flags):
    """A row for each library."""
    rounds, rates = {name: [] for name in ("tinyllm", "tinyllm-no-cache", *flags.peers)}, []
    argument = flags.prompt if flags.backend == "numpy" else f"{flags.prompt},{flags.precision}"
    with ExitStack() as stack:
        libraries = {
            name: stack.enter_context(Library(name, flags.config, argument, flags.threads, WORKERS[flags.backend]))
            for name in rounds
        }  # fmt: skip
        versions = {name: library.ask("versions") for name, library in libraries.items()}
        for _ in range(flags.rounds):
            for name, library in libraries.items():
                rounds[name].append(library.ask(NO_CACHE_TOKENS if name == "tinyllm-no-cache" else flags.tokens))
            rates.append(libraries["tinyllm"].ask("bandwidth"))
    return [row(flags, name, rounds[name], rounds.get("torch"), rates, versions[name]) for name in rounds]


def row(flags, name, measured, torch, rates, versions):
    """What a library measured in its rounds, beside torch's (or None) and the rates of reading in bytes/s."""
    token = statistics.median(m["token"] for m in measured)
    nbytes = weight_bytes(CONFIGS[flags.config], 2 if flags.precision == "bf16" else 4)
    floors = [nbytes / rate for rate in rates]
    ratios = [theirs["token"] / ours["token"] for ours, theirs in zip(measured, torch)] if torch else []
    return {
        "config": flags.config,
        "backend": flags.backend if name.startswith("tinyllm") else "torch",
        "peer": name,
        "precision": flags.precision,
        "prompt_tokens": flags.prompt,
        "token_ms": token * 1e3,
        "tokens_per_second": 1 / token,
        "speed_to_torch": statistics.median(ratios) if ratios else None,
        "speed_to_torch_rounds": ratios,
        "floor_ms": statistics.median(floors) * 1e3,
        "floor_share": statistics.median(floor / m["token"] for floor, m in zip(floors, measured)),
        "weights_mb": nbytes / 1e6,
        "bandwidth_gb_per_second": statistics.median(rates) / 1e9,
        "prompt_ms": statistics.median(m["prompt"] for m in measured) * 1e3,
        "peak_memory_mb": max(m["memory"] for m in measured),
        "rounds": len(measured),
        "threads": flags.threads,
        "versions": {"python": platform.python_version(), **versions},
        "machine": f"{platform.system()} {platform.machine()}, {bench.CORES} cores",
        "date": str(datetime.date.today()),
    }


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench.py generate", description=__doc__.partition("\n")[0])
    bench.add_backend(parser)
    parser.add_argument("--config", choices=CONFIGS, default="gpt2-1024", help="the model (gpt2-1024: 124M)")
    parser.add_argument("--prompt", type=bench.positive, default=128, help="tokens that are there before")
    parser.add_argument("--tokens", type=bench.positive, default=16, help="new tokens in a round")
    parser.add_argument("--peers", type=bench.names("torch", "torch-compile", "none"), default=["torch"],
                        help="torch, torch-compile (on a GPU), or none")  # fmt: skip
    parser.add_argument("--rounds", type=bench.positive, default=15, help="turns of each library")
    parser.add_argument("--threads", type=bench.threads, default=bench.CORES, help="of each library (all cores)")
    parser.add_argument("--json", type=bench.writable, help="also write the rows to this file")
    flags = parser.parse_args(arguments)
    room = CONFIGS[flags.config].block_size - 1
    if flags.prompt + max(flags.tokens, NO_CACHE_TOKENS) > room:
        parser.error(f"--prompt {flags.prompt} and --tokens {flags.tokens} are more than the {room} that "
                     f"{flags.config} sees; choose fewer")
    if flags.backend == "numpy" and "torch-compile" in flags.peers:
        parser.error("torch-compile is for a GPU; add --backend cupy, or leave it out")
    bench.need_torch(parser, flags.peers)
    bench.need_backend(parser, flags)
    return flags


def main(arguments):
    flags = parse(arguments)
    rows = measure(flags)
    print(f"{bench.circumstances(rows)}, {rows[0]['weights_mb']:.0f} MB of weights, read at "
          f"{rows[0]['bandwidth_gb_per_second']:.0f} GB/s\n\n{bench.table(rows, COLUMNS)}", flush=True)
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
