"""Our training step on cupy: the one that `tinyllm train --backend cupy` makes, as one graph where it is captured."""

import statistics
import time
from contextlib import contextmanager
from functools import cache, partial

import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them)
from benchmarks.worker import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, batch
from tinyllm import GPT, GPTConfig, Tensor, nn
from tinyllm.backend import card
from tinyllm.precision import precision as policy
from tinyllm.training.build import build_optimizer
from tinyllm.training.config import TrainConfig
from tinyllm.training.data_parallel import workers
from tinyllm.training.state import TrainState
from tinyllm.training.step import train_step


@contextmanager
def tinyllm_step(config, precision="fp32", **options):
    """(step, wait, versions): step() makes one training step, and does not wait until the GPU has made it.

    step.keywords["team"].why_not says why it is not one graph, if it is not.
    """
    import cupy

    sizes = {name: value for name, value in config.sizes.items() if name != "vocab_size"}
    plan = TrainConfig(**sizes, batch_size=config.batch_size, backend="cupy", precision=precision, beta1=BETAS[0],
                       beta2=BETAS[1], learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, grad_clip=GRAD_CLIP,
                       max_iters=10**6, **options)  # fmt: skip
    model = new_model(GPTConfig(**config.sizes)).to("cupy")
    state = TrainState(model, build_optimizer(plan, model), None, "")
    arrays = [Tensor(x) for x in batch(config)]
    versions = {"numpy": np.__version__, "cupy": cupy.__version__, "on": card()["gpu"]}
    with policy(precision), workers(plan, state) as team:
        yield partial(train_step, state, plan, arrays, team=team), cupy.cuda.runtime.deviceSynchronize, versions


def new_model(config):
    """A model whose weights are random and need not be its own: what GPT-2 would draw takes seconds."""
    with nn.init.skipped():
        model = GPT(config)
    for parameter in model.parameters():
        parameter.data = np.resize(some_numbers(), parameter.shape)
    return model


@cache
def some_numbers(n=1 << 20):
    return 0.02 * np.random.default_rng(0).standard_normal(n, np.float32)


# rates


def median_seconds(run, wait, times=9):
    seconds = []
    for _ in range(times):
        wait()
        start = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def product_rate(precision="fp32", n=8192):
    """FLOP/s of a large matrix product of random numbers, which take more power than zeros do."""
    import cupy

    from tinyllm.kernels.cuda.products import product

    a = cupy.asarray(np.resize(some_numbers(), (n, n)))
    a = a.astype("bfloat16") if precision == "bf16" else a
    with policy(precision):
        return 2 * n**3 / median_seconds(lambda: product(a, a), cupy.cuda.runtime.deviceSynchronize)


def copy_rate(n=1 << 28):
    """Bytes a second that the GPU reads and writes when it copies an array."""
    import cupy

    source, target = cupy.zeros(n, np.float32), cupy.empty(n, np.float32)

    def copy():
        target[...] = source

    return 2 * source.nbytes / median_seconds(copy, cupy.cuda.runtime.deviceSynchronize)
