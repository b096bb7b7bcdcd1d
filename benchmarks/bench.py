"""Whole training steps (forward, backward, optimizer) beside PyTorch on the same machine.

    python benchmarks/bench.py                                   micro, against torch eager
    python benchmarks/bench.py --configs micro,baby --peers torch-eager,torch-compile --rounds 9 --json results.json
    python benchmarks/bench.py --backend cupy --precision bf16 --configs gpt2-b8 --peers torch-eager,torch-compile
                                                                 on an NVIDIA GPU: see gpu_worker.py
    python benchmarks/bench.py --profile                         where a step of ours goes: see where.py
    python benchmarks/bench.py generate                          tokens a second instead: see generate.py
    python benchmarks/bench.py ops                               each op instead: see ops.py
    python benchmarks/bench.py scaling                           how time and memory grow: see scaling.py
    python benchmarks/bench.py launches                          what a step starts on a GPU: see launches.py

Each library runs in a process of its own (worker.py) with the same number of threads, and they take turns: round by
round, so that a slow moment of the machine meets all of them. What is printed are medians: of the rounds, and of the
ratio to torch eager in each round. The share of the GEMM rate is the time that the matrix products of a step would
take at the rate of a large one in numpy, measured every round, over the time of the step: 100 % for numpy would be a
step of nothing else. The products of torch may be faster than numpy's. torch-tuned is torch eager with the settings of
glibc's allocator that make it fastest. Memory is the most that a library's processes hold together during a step.
"""

import argparse
import datetime
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # this process may use
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
PAUSE = 0.1  # seconds between turns: threads of OpenBLAS look for work that long, and would double torch's next step


@dataclass(frozen=True)
class Config:
    """A model and a batch, and how many steps make a round."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    batch_size: int
    vocab_size: int
    steps: int

    @property
    def sizes(self):
        """What a GPTConfig takes, ours or the reference's."""
        return {name: value for name, value in asdict(self).items() if name not in ("batch_size", "steps")}

    @property
    def tokens(self):
        return self.batch_size * self.block_size

    @property
    def flops(self):
        """Of the matrix products of one step: 2 a weight and token forward, 4 backward, and the same for the pairs that
        causal attention looks at. As tinyllm.models.sizes counts them."""
        weights = 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd
        attention = self.n_layer * self.n_embd * (self.block_size + 1)
        return 6 * self.tokens * (weights + attention)

    @property
    def model_flops(self):
        """Of a step as model FLOPs utilisation counts them (Chowdhery et al. 2022): all of attention, also the half
        that the mask hides."""
        return self.flops + 6 * self.tokens * self.n_layer * self.n_embd * (self.block_size - 1)


CONFIGS = {
    "micro": Config(4, 4, 128, 64, 12, 65, steps=20),
    "baby": Config(6, 6, 384, 256, 8, 65, steps=2),
    "gpt2": Config(12, 12, 768, 256, 2, 50257, steps=1),
    "gpt2-1024": Config(12, 12, 768, 1024, 1, 50257, steps=1),
    # for a GPU: a vocabulary that is a multiple of 64, on both sides
    **{f"gpt2-b{B}": Config(12, 12, 768, 1024, B, 50304, steps=1) for B in (4, 8, 16, 32)},
}
WORKERS = {"numpy": "benchmarks.worker", "cupy": "benchmarks.gpu_worker"}
PRECISIONS = ("fp32", "tf32", "bf16")
STAND_IN = "TINYLLM_BENCH_STAND_IN"  # set: the workers of a GPU run on the tests' stand-in
COMMANDS = ("generate", "ops", "scaling", "launches")  # files beside this one
PEERS = ("torch-eager", "torch-tuned", "torch-compile")
TUNED = {  # glibc's memory goes back to the system at once by default, and is zeroed again: these keep it
    "MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456",
}  # fmt: skip


# measuring


class Library:
    """A worker process, and what it has measured."""

    def __init__(self, name, config_name, argument, threads, worker="benchmarks.worker"):
        self.name, self.config_name, self.versions, self.rounds, self.memory = name, config_name, {}, [], 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-m", worker, name, config_name, str(argument)],
            cwd=ROOT, text=True,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads)), **(TUNED if name == "torch-tuned" else {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,  # Ctrl-C reaches bench.py alone
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with suppress(BrokenPipeError), self.process:  # closes the pipes and waits
            self.process.kill()

    def ask(self, question):
        time.sleep(PAUSE)
        with suppress(BrokenPipeError):  # it died, and gives no answer
            print(question, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            how = f"was killed by signal {-code}" if code < 0 else "ended for the reason above"
            raise SystemExit(f"bench: {self.name} at {self.config_name} {how}; "
                             "if memory ran out, choose smaller --configs or fewer --peers")
        return json.loads(answer)

    def warm_up(self):
        self.versions = self.ask("versions")

    def measure(self):
        self.rounds.append(self.ask("round"))

    def measure_memory(self, backend="numpy"):
        """The most that the worker, with its processes, holds during a step; looked at beside it, not timed. On a GPU
        the most that it took there."""
        if backend == "cupy":
            self.memory = self.ask("memory")
            return
        done, peaks = threading.Event(), []

        def look():
            while True:
                peaks.append(memory_of(family(self.process.pid)))
                if done.wait(2e-3):
                    return

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            self.ask("one")
        finally:
            done.set()
            watcher.join()
        self.memory = max(peaks) / 2**20


def bench(config_name, flags):
    """The rows of one configuration."""
    names, libraries, rates = ("tinyllm", *flags.peers), [], []
    argument = flags.threads if flags.backend == "numpy" else flags.precision
    if sys.stderr.isatty():
        print(f"measuring {config_name}: {', '.join(names)}; rounds: {flags.rounds}", file=sys.stderr)
    with ExitStack() as stack:
        for name in names:
            library = Library(name, config_name, argument, flags.threads, WORKERS[flags.backend])
            libraries.append(stack.enter_context(library))
            libraries[-1].warm_up()
        for library in libraries:  # now: what finds the GEMM rate holds memory of its own
            library.measure_memory(flags.backend)
        for _ in range(flags.rounds):
            for library in libraries:
                library.measure()
            rates.append(libraries[0].ask("gemm"))
    eager = next((library for library in libraries if library.name == "torch-eager"), None)
    return [row(config_name, flags, library, eager, statistics.median(rates)) for library in libraries]


def family(pid):
    """A process and those it started, and they started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        children = []
    return [pid, *(each for child in children for each in family(int(child)))]


def memory_of(pids):
    """Bytes that processes hold: what several share is counted once (proportional set size)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


# reporting


def row(config_name, flags, library, eager, gemm):
    """What a library measured at a configuration, beside torch eager (or None) and a GEMM rate in FLOP/s."""
    config = CONFIGS[config_name]
    step, *parts = (statistics.median(part) for part in zip(*library.rounds))  # of a GPU's steps nobody sees the parts
    forward, backward, update = (1e3 * part for part in parts) if parts else (None,) * 3
    ratios = [ours[0] / theirs[0] for ours, theirs in zip(library.rounds, eager.rounds)] if eager else []
    floor = config.flops / gemm
    return {
        "config": config_name,
        "backend": flags.backend if library.name == "tinyllm" else "torch",
        "peer": library.name,
        "precision": flags.precision,
        "step_ms": step * 1e3,
        "forward_ms": forward,
        "backward_ms": backward,
        "optimizer_ms": update,
        "ratio_to_torch_eager": statistics.median(ratios) if ratios else None,
        "speed_to_torch_eager": 1 / statistics.median(ratios) if ratios else None,
        "tokens_per_second": config.tokens / step,
        "gflop_per_step": config.flops / 1e9,
        "gemm_gflops": gemm / 1e9,
        "gemm_share": floor / step,
        "gemm_floor_ratio": step / floor,
        "mfu": config.model_flops / gemm / step,
        "peak_memory_mb": library.memory,
        "rounds": len(library.rounds),
        "threads": flags.threads,
        "versions": {"python": platform.python_version(), **library.versions},
        "machine": f"{platform.system()} {platform.machine()}, {CORES} cores",
        "date": str(datetime.date.today()),
    }


COLUMNS = {  # heading: key, format
    "config": ("config", "{}"), "library": ("peer", "{}"), "step ms": ("step_ms", "{:.1f}"),
    "forward": ("forward_ms", "{:.1f}"), "backward": ("backward_ms", "{:.1f}"), "update": ("optimizer_ms", "{:.1f}"),
    "/ torch eager": ("ratio_to_torch_eager", "{:.2f}"), "tokens/s": ("tokens_per_second", "{:,.0f}"),
    "GFLOP/step": ("gflop_per_step", "{:,.1f}"), "share of GEMM rate": ("gemm_share", "{:.0%}"),
    "peak MB": ("peak_memory_mb", "{:,.0f}"),
}  # fmt: skip

GPU_COLUMNS = {
    "config": ("config", "{}"), "precision": ("precision", "{}"), "library": ("peer", "{}"),
    "step ms": ("step_ms", "{:.2f}"), "speed / torch eager": ("speed_to_torch_eager", "{:.2f}"),
    "tokens/s": ("tokens_per_second", "{:,.0f}"), "MFU": ("mfu", "{:.0%}"), "peak MB": ("peak_memory_mb", "{:,.0f}"),
}  # fmt: skip


def table(rows, columns=COLUMNS):
    cells = [list(columns)]
    for row in rows:
        cells.append(["" if row[key] is None else form.format(row[key]) for key, form in columns.values()])
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells)


def circumstances(rows):
    """What was measured on, with what and when."""
    versions = {name: version for row in rows for name, version in row["versions"].items()}
    facts = [rows[0]["machine"], f"--threads {rows[0]['threads']}", *map(" ".join, versions.items()), rows[0]["date"]]
    return ", ".join(facts)


def facts(rows):
    """One line: the circumstances, and how fast matrix products were."""
    rates = {row["config"]: f"{row['gemm_gflops']:.0f} GFLOP/s at {row['config']}" for row in rows}
    return f"{circumstances(rows)}, GEMM rate of {rows[0]['backend']} {', '.join(rates.values())}"


def report(rows, path):
    columns = GPU_COLUMNS if rows[0]["backend"] == "cupy" else COLUMNS
    print(f"{facts(rows)}\n\n{table(rows, columns)}", flush=True)
    if path:
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


# flags


def names(*allowed):
    """Reads a,b: some of those allowed, each once; none, where it is allowed, is the empty list and stands alone."""

    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is unknown; choose from {', '.join(allowed)}")
            if chosen.count(name) > 1:
                raise argparse.ArgumentTypeError(f"{text!r} names {name} more than once; name it once")
        if "none" in chosen and len(chosen) > 1:
            raise argparse.ArgumentTypeError(f"{text!r} asks for none and for others; choose none or the others")
        return [] if chosen == ["none"] else chosen

    return parse


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


def threads(text):
    if positive(text) > CORES:
        raise argparse.ArgumentTypeError(f"must be at most {CORES}, the cores there are, not {text!r}")
    return int(text)


def writable(text):
    """A path that can be written, which is tried now: the measuring before its use may take long."""
    path = Path(text)
    try:
        existed = os.path.lexists(path)
        path.open("a").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"cannot write {text!r} ({error.strerror}); name a file in a folder that exists and is yours to write"
        ) from None
    return path


def parse():
    usage = f"%(prog)s [{' | '.join(COMMANDS)}] [flags] (--help lists them)"
    parser = argparse.ArgumentParser(usage=usage, description=__doc__.partition("\n")[0])
    add_backend(parser)
    parser.add_argument("--configs", type=names(*CONFIGS), default=["micro"], help=f"of {', '.join(CONFIGS)}")
    parser.add_argument(
        "--peers", type=names(*PEERS, "none"), default=["torch-eager"], help=f"of {', '.join(PEERS)}, or none"
    )
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each library")
    parser.add_argument("--threads", type=threads, default=CORES, help="of each library (all cores)")
    parser.add_argument("--json", type=writable, help="also write the rows to this file")
    parser.add_argument("--profile", action="store_true", help="show where a step of ours goes, and no peers")
    flags = parser.parse_args()
    if flags.profile and flags.backend != "numpy":
        parser.error("--profile looks at numpy's kernels; leave out --backend")
    if flags.backend == "cupy" and "torch-tuned" in flags.peers:
        parser.error("torch-tuned is torch with other settings of the CPU's memory; choose torch-eager, torch-compile")
    need_torch(parser, [] if flags.profile else flags.peers)
    need_backend(parser, flags)
    return flags


def add_backend(parser):
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", metavar="NAME",
                        help="where to compute: numpy, or cupy, and then torch too is on the GPU")  # fmt: skip
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", metavar="NAME",
                        help=f"of both sides on a GPU: {', '.join(PRECISIONS)}")  # fmt: skip
    parser.add_argument("--stand-in", action="store_true", help="try --backend cupy without a GPU; shows nothing")


def need_backend(parser, flags):
    """Leave with what is missing, where a backend cannot compute here; numpy, which can, is not loaded for that."""
    if flags.backend == "numpy":
        if flags.precision != "fp32" or flags.stand_in:
            parser.error("--precision and --stand-in are for a GPU; add --backend cupy")
    elif flags.stand_in:
        os.environ[STAND_IN] = "1"
    else:
        sys.path.insert(0, str(ROOT))
        from tinyllm.backend import require

        try:
            require(flags.backend)
        except ImportError as error:
            print(f"bench: {error}", file=sys.stderr)
            sys.exit(2)


def need_torch(parser, peers, flag="--peers"):
    if peers and not importlib.util.find_spec("torch"):
        parser.error(f"{flag} {','.join(peers)} needs torch: pip install torch, or use {flag} none")


def part(name):
    """A file beside this one."""
    sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"benchmarks.{name}")


def main():
    rows = []
    try:
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:
            return part(sys.argv[1]).main(sys.argv[2:])
        flags = parse()
        if flags.profile:
            return part("where").main(flags)
        try:
            for config_name in flags.configs:
                rows += bench(config_name, flags)
        finally:  # what was measured is not lost when the next configuration fails
            if rows:
                report(rows, flags.json)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
