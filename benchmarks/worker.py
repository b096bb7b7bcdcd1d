"""One library in a process of its own: bench.py starts it, asks a question a line and reads an answer a line.

The two sides make the same step: the same batch, clipping and AdamW, whose two groups are matrices, which decay, and
the rest.
"""

import json
import os
import statistics
import sys
import time
from contextlib import ExitStack
from types import SimpleNamespace

from benchmarks.bench import CONFIGS

WARM_UP = 3  # steps nobody counts; torch compiles in the first
GRAD_CLIP = 1.0
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.1
ENDS = ExitStack()  # what is to be ended with this process: other workers


def tinyllm_step(config, threads):
    """(step, versions): step() makes one training step and gives the seconds of the whole and of its three parts.

    As `tinyllm train --workers threads` makes it: with kernels, and workers that share the sequences or the ops.
    """
    import numpy as np

    import tinyllm.kernels  # noqa: F401  (attaches them)
    from tinyllm import GPT, GPTConfig
    from tinyllm.optim import FlatAdamW
    from tinyllm.training.data_parallel import workers

    model = GPT(GPTConfig(**config.sizes))
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = FlatAdamW(groups, tinyllm.kernels.cpu.ARENA.empty, lr=LEARNING_RATE, betas=BETAS)
    ids, targets = map(tinyllm.tensor, batch(config))
    clock = Clock()

    def loss_of(model, *arrays):
        loss = model.loss(*arrays)
        clock.mark()  # in a team: this process's share
        return loss, {}

    plan = SimpleNamespace(workers=threads, batch_size=config.batch_size, gradient_accumulation=1, seed=0,
                           grad_clip=GRAD_CLIP)  # fmt: skip
    team = ENDS.enter_context(workers(plan, SimpleNamespace(model=model, optimizer=optimizer), loss_of))

    def step():
        clock.start()
        if team:
            team.loss_and_norm(0, (ids, targets))
        else:
            optimizer.backward(loss_of(model, ids, targets)[0])
        clock.mark()
        if not team:
            optimizer.clip(GRAD_CLIP)
        (team or optimizer).step()
        optimizer.zero_grad()
        return clock.stop()

    return step, {"numpy": np.__version__}


def torch_step(config, compiled):
    """The same of torch, with its scaled_dot_product_attention and its fused AdamW."""
    import torch

    from reference.gpt import GPT, GPTConfig
    from reference.training import configure_optimizer

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = GPT(GPTConfig(**config.sizes))
    optimizer = configure_optimizer(model, LEARNING_RATE, BETAS, WEIGHT_DECAY, fused=True)
    ids, targets = (torch.from_numpy(x) for x in batch(config))
    loss_of = torch.compile(model.loss) if compiled else model.loss

    clock = Clock()

    def step():
        clock.start()
        loss = loss_of(ids, targets)
        clock.mark()
        loss.backward()
        clock.mark()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return clock.stop()

    return step, {"torch": torch.__version__}


def batch(config):
    import numpy as np

    ids = np.random.default_rng(0).integers(0, config.vocab_size, (config.batch_size, config.block_size + 1))
    return ids[:, :-1].copy(), ids[:, 1:].copy()


class Clock:
    """The seconds of a step: the whole, and the parts between its marks."""

    times = ()  # not started: in a worker of ours, where nobody asks

    def start(self):
        self.times = [time.perf_counter()]

    def mark(self):
        if self.times:
            self.times.append(time.perf_counter())

    def stop(self):
        self.mark()
        return [self.times[-1] - self.times[0], *(b - a for a, b in zip(self.times, self.times[1:]))]


def gemm_rate(threads):
    """FLOP/s of a large float32 matrix product in numpy, by that many threads."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    n, seconds = 1024, []
    a, b = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    product = np.empty_like(a)
    with threadpool_limits(threads):
        for _ in range(9):
            start = time.perf_counter()
            np.matmul(a, b, out=product)
            seconds.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(seconds)


def serve(name, config, threads):
    """Warm up, then answer the lines of standard input."""
    compiled = name == "torch-compile"
    step, versions = tinyllm_step(config, threads) if name == "tinyllm" else torch_step(config, compiled)
    for _ in range(WARM_UP):
        step()

    def measured():
        steps = [step() for _ in range(config.steps)]
        return [statistics.median(part) for part in zip(*steps)]

    answers = {"versions": lambda: versions, "round": measured, "one": step, "gemm": lambda: gemm_rate(threads)}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def main(name, config_name, threads):
    try:
        with ENDS:
            serve(name, CONFIGS[config_name], int(threads))
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
