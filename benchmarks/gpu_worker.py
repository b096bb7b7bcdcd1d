"""worker.py for a GPU: the same steps of ours on cupy and of torch on CUDA, each waited for until the GPU is done.

A batch comes from the host in each step, as in a training. All products are float32: how far ours are from exact ones
is measured and stands among the versions.
"""

import json
import statistics
import sys
import time

from benchmarks.bench import CONFIGS
from benchmarks.worker import BETAS, GRAD_CLIP, LEARNING_RATE, WARM_UP, WEIGHT_DECAY, Clock, batch


class GpuClock(Clock):
    """A part of a step ends when the GPU has done it."""

    def __init__(self, wait):
        self.wait = wait

    def start(self):
        self.wait()
        super().start()

    def mark(self):
        self.wait()
        super().mark()


def tinyllm_step(config, dtype="float32"):
    """(step, versions): step() makes one training step and gives the seconds of the whole and of its three parts."""
    import cupy
    import numpy as np

    from tinyllm import GPT, AdamW, GPTConfig
    from tinyllm.backend import card, product_error

    model = GPT(GPTConfig(**config.sizes), dtype=dtype).to("cupy")
    groups = [{"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
              {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    optimizer = AdamW(groups, lr=LEARNING_RATE, betas=BETAS)
    ids, targets = batch(config)
    clock = GpuClock(cupy.cuda.runtime.deviceSynchronize)

    def step():
        clock.start()
        loss = model.loss(ids, targets)
        clock.mark()
        optimizer.backward(loss)
        clock.mark()
        optimizer.clip(GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return clock.stop()

    return step, {"numpy": np.__version__, "cupy": cupy.__version__, "on": card()["gpu"],
                  "float32 products off by": f"{product_error('cupy'):.0e}"}  # fmt: skip


def torch_step(config, compiled):
    """The same of torch, with its scaled_dot_product_attention and its fused AdamW."""
    import torch

    from reference.gpt import GPT, GPTConfig
    from reference.training import configure_optimizer

    device = torch_device()
    model = GPT(GPTConfig(**config.sizes)).to(device)
    optimizer = configure_optimizer(model, LEARNING_RATE, BETAS, WEIGHT_DECAY, fused=True)
    ids, targets = (torch.from_numpy(x) for x in batch(config))
    loss_of = torch.compile(model.loss) if compiled else model.loss
    clock = GpuClock(torch.cuda.synchronize if device == "cuda" else lambda: None)

    def step():
        clock.start()
        loss = loss_of(ids.to(device), targets.to(device))
        clock.mark()
        loss.backward()
        clock.mark()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return clock.stop()

    precision = torch.get_float32_matmul_precision()  # "highest" is float32, what torch does if nobody says otherwise
    return step, {"torch": torch.__version__, "torch's precision": precision}


def torch_device():
    """Where torch computes beside cupy: on the CPU with the stand-in of the tests."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gemm_rate(n=8192):
    """FLOP/s of a large float32 matrix product in cupy."""
    import cupy
    import numpy as np

    seconds, wait = [], cupy.cuda.runtime.deviceSynchronize
    a = cupy.asarray(np.random.default_rng(0).standard_normal((n, n), np.float32))
    product = cupy.empty((n, n), np.float32)
    for _ in range(9):
        wait()
        start = time.perf_counter()
        cupy.matmul(a, a, out=product)
        wait()
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(seconds)


def copy_rate(n=1 << 28):
    """Bytes a second that the GPU reads and writes when it copies an array."""
    import cupy
    import numpy as np

    seconds, wait = [], cupy.cuda.runtime.deviceSynchronize
    source, target = cupy.zeros(n, np.float32), cupy.empty(n, np.float32)
    for _ in range(9):
        wait()
        start = time.perf_counter()
        target[...] = source
        wait()
        seconds.append(time.perf_counter() - start)
    return 2 * source.nbytes / statistics.median(seconds)


def peak_memory_mb(name):
    """The most of the GPU's memory that a library held."""
    if name == "tinyllm":
        import cupy

        return cupy.get_default_memory_pool().total_bytes() / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch_device() == "cuda" else 0.0


def serve(name, config):
    """Warm up, then answer the lines of standard input."""
    step, versions = tinyllm_step(config) if name == "tinyllm" else torch_step(config, name == "torch-compile")
    for _ in range(WARM_UP):
        step()

    def measured():
        return [statistics.median(part) for part in zip(*(step() for _ in range(config.steps)))]

    answers = {"versions": lambda: versions, "round": measured, "gemm": gemm_rate,
               "memory": lambda: peak_memory_mb(name)}  # fmt: skip
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def main(name, config_name, _):
    try:
        serve(name, CONFIGS[config_name])
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
