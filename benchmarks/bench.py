"""Whole training steps (forward, backward, optimizer) beside PyTorch on the same machine.

    python benchmarks/bench.py                                   micro, against torch eager
    python benchmarks/bench.py --configs micro,baby --peers torch-eager,torch-compile --rounds 9 --json results.json

Each library runs in a process of its own with the same number of threads, and they take turns: round by round, so
that a slow moment of the machine meets all of them. What is printed are medians. torch gets its fused AdamW and its
scaled_dot_product_attention.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WARM_UP = 3  # steps nobody counts


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
        """Of the matrix products of one step: 2 a weight and token forward, 4 backward, and causal attention's half."""
        weights = 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd
        attention = self.n_layer * self.n_embd * self.block_size
        return 6 * self.tokens * (weights + attention)


CONFIGS = {
    "micro": Config(4, 4, 128, 64, 12, 65, steps=20),
    "baby": Config(6, 6, 384, 256, 8, 65, steps=2),
    "gpt2": Config(12, 12, 768, 256, 2, 50257, steps=1),
    "gpt2-1024": Config(12, 12, 768, 1024, 1, 50257, steps=1),
}
PEERS = ("torch-eager", "torch-compile")


def ours(config, backend):
    """(step, versions): step() makes one training step and gives the seconds of its three parts."""
    import numpy as np

    from tinyllm import GPT, GPTConfig
    from tinyllm.optim import clip_grad_norm
    from tinyllm.training.config import TrainConfig
    from tinyllm.training.train import build_optimizer

    model = GPT(GPTConfig(**config.sizes)).to(backend)
    optimizer = build_optimizer(TrainConfig(), model)
    ids, targets = batch(config)

    def forward():
        return model.loss(ids, targets)

    def update():
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return parts(forward, lambda loss: loss.backward(), update), {"numpy": np.__version__}


def torch_peer(config, compiled):
    import torch

    from reference.gpt import GPT, GPTConfig
    from reference.training import configure_optimizer

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = GPT(GPTConfig(**config.sizes))
    optimizer = configure_optimizer(model, 1e-3, (0.9, 0.99), 0.1, fused=True)
    ids, targets = (torch.from_numpy(x) for x in batch(config))
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def update():
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return parts(lambda: loss_of(ids, targets), lambda loss: loss.backward(), update), {"torch": torch.__version__}


def batch(config):
    import numpy as np

    ids = np.random.default_rng(0).integers(0, config.vocab_size, (config.batch_size, config.block_size + 1))
    return ids[:, :-1].copy(), ids[:, 1:].copy()


def parts(forward, backward, update):
    def step():
        times = [time.perf_counter()]
        loss = forward()
        times.append(time.perf_counter())
        backward(loss)
        times.append(time.perf_counter())
        update()
        times.append(time.perf_counter())
        return [b - a for a, b in zip(times, times[1:])]

    return step


def gemm_rate():
    """FLOP/s of a large float32 matrix product in numpy: nothing made of such products can be faster."""
    import numpy as np

    n, seconds = 1024, []
    a, b = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    for _ in range(9):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(seconds)


def worker(name, config, backend):
    """Runs in a process of its own: a line on standard input is a round, its answer one line of JSON."""
    import resource

    step, versions = ours(config, backend) if name == "tinyllm" else torch_peer(config, name == "torch-compile")
    for _ in range(WARM_UP):
        step()
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        if line.strip() == "gemm":
            print(json.dumps(gemm_rate()), flush=True)
            continue
        steps = [step() for _ in range(config.steps)]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([[statistics.median(part) for part in zip(*steps)], memory]), flush=True)


class Library:
    """A worker process, and what it has measured."""

    def __init__(self, name, config_name, backend, threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--worker", name, "--configs", config_name, "--backend", backend]
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.name, self.rounds, self.memory = name, [], 0.0
        self.versions = self.read()

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: the process of {self.name} ended; its message stands above")
        return json.loads(line)

    def measure(self):
        times, self.memory = self.ask("round")
        self.rounds.append(times)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def bench(config_name, backend, peers, rounds, threads):
    """The rows of one configuration."""
    config = CONFIGS[config_name]
    libraries = [Library(name, config_name, backend, threads) for name in ("tinyllm", *peers)]
    rates = []
    for _ in range(rounds):
        for library in libraries:
            library.measure()
        rates.append(libraries[0].ask("gemm"))
    for library in libraries:
        library.close()
    floor = config.flops / statistics.median(rates)
    eager = next((library for library in libraries if library.name == "torch-eager"), None)
    return [row(config_name, backend, library, eager, floor, threads) for library in libraries]


def row(config_name, backend, library, eager, floor, threads):
    totals = [sum(times) for times in library.rounds]
    step = statistics.median(totals)
    forward, backward, update = (statistics.median(part) * 1e3 for part in zip(*library.rounds))
    ratios = [ours / sum(theirs) for ours, theirs in zip(totals, eager.rounds)] if eager else []
    return {
        "config": config_name,
        "backend": backend if library.name == "tinyllm" else "torch",
        "peer": library.name,
        "step_ms": step * 1e3,
        "forward_ms": forward,
        "backward_ms": backward,
        "optimizer_ms": update,
        "ratio_to_torch_eager": statistics.median(ratios) if ratios else None,
        "tokens_per_second": CONFIGS[config_name].tokens / step,
        "flops_per_step": CONFIGS[config_name].flops,
        "gemm_floor_ratio": step / floor,
        "peak_memory_mb": library.memory,
        "threads": threads,
        "versions": {"python": platform.python_version(), **library.versions},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": str(datetime.date.today()),
    }


COLUMNS = {  # heading: key, format
    "config": ("config", "{}"), "library": ("peer", "{}"), "step ms": ("step_ms", "{:.1f}"),
    "forward": ("forward_ms", "{:.1f}"), "backward": ("backward_ms", "{:.1f}"), "update": ("optimizer_ms", "{:.1f}"),
    "/ torch eager": ("ratio_to_torch_eager", "{:.2f}"), "tokens/s": ("tokens_per_second", "{:,.0f}"),
    "/ GEMM floor": ("gemm_floor_ratio", "{:.2f}"), "peak MB": ("peak_memory_mb", "{:,.0f}"),
}  # fmt: skip


def table(rows):
    cells = [list(COLUMNS)]
    for row in rows:
        cells.append(["" if row[key] is None else form.format(row[key]) for key, form in COLUMNS.values()])
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells)


def names(allowed):
    def parse(text):
        chosen = [] if text == "none" else text.split(",")
        if unknown := [name for name in chosen if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is unknown; choose from {', '.join(allowed)}")
        return chosen

    return parse


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", choices=("numpy",), default="numpy", help="where our arrays live")
    parser.add_argument("--configs", type=names(CONFIGS), default=["micro"], help=f"of {', '.join(CONFIGS)}")
    parser.add_argument("--peers", type=names(PEERS), default=["torch-eager"], help=f"of {', '.join(PEERS)}, or none")
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each library")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="of each library (all cores)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.worker:
        return worker(flags.worker, CONFIGS[flags.configs[0]], flags.backend)
    rows = []
    for config_name in flags.configs:
        rows += bench(config_name, flags.backend, flags.peers, flags.rounds, flags.threads)
    print(table(rows))
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
