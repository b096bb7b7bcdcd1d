"""One library in a process of its own: bench.py starts it, asks a question a line and reads an answer a line.

The two sides make the same step: the same batch, clipping and AdamW, whose two groups are matrices, which decay, and
the rest.
"""

import json
import os
import resource
import statistics
import sys
import time

from benchmarks.bench import CONFIGS

WARM_UP = 3  # steps nobody counts; torch compiles in the first
GRAD_CLIP = 1.0
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.1


def tinyllm_step(config, backend):
    """(step, versions): step() makes one training step and gives the seconds of the whole and of its three parts."""
    import numpy as np

    import tinyllm.kernels  # noqa: F401  (attaches them)
    from tinyllm import GPT, GPTConfig
    from tinyllm.optim import FlatAdamW

    model = GPT(GPTConfig(**config.sizes)).to(backend)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = FlatAdamW(groups, lr=LEARNING_RATE, betas=BETAS)
    ids, targets = batch(config)

    def forward():
        return model.loss(ids, targets)

    def update():
        optimizer.clip(GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()

    return timed(forward, optimizer.backward, update), {"numpy": np.__version__}


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

    def update():
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return timed(lambda: loss_of(ids, targets), lambda loss: loss.backward(), update), {"torch": torch.__version__}


def batch(config):
    import numpy as np

    ids = np.random.default_rng(0).integers(0, config.vocab_size, (config.batch_size, config.block_size + 1))
    return ids[:, :-1].copy(), ids[:, 1:].copy()


def timed(forward, backward, update):
    def step():
        times = [time.perf_counter()]
        loss = forward()
        times.append(time.perf_counter())
        backward(loss)
        times.append(time.perf_counter())
        update()
        times.append(time.perf_counter())
        return [times[-1] - times[0], *(b - a for a, b in zip(times, times[1:]))]

    return step


def gemm_rate():
    """FLOP/s of a large float32 matrix product in numpy."""
    import numpy as np

    n, seconds = 1024, []
    a, b = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    product = np.empty_like(a)
    for _ in range(9):
        start = time.perf_counter()
        np.matmul(a, b, out=product)
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(seconds)


def peak_memory_mb():
    """The most this process ever held: Linux counts in KiB, macOS in bytes.

    On Linux a process starts with the peak of the one that started it: bench.py, which loads no array library.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def serve(name, config, backend):
    """Warm up, then answer the lines of standard input."""
    compiled = name == "torch-compile"
    step, versions = tinyllm_step(config, backend) if name == "tinyllm" else torch_step(config, compiled)
    for _ in range(WARM_UP):
        step()

    def measured():
        steps = [step() for _ in range(config.steps)]
        return [[statistics.median(part) for part in zip(*steps)], peak_memory_mb()]

    answers = {"versions": lambda: versions, "round": measured, "gemm": gemm_rate}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def main(name, config_name, backend):
    try:
        serve(name, CONFIGS[config_name], backend)
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
