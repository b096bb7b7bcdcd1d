"""worker.py for a GPU: the same steps of ours on cupy and of torch on CUDA, in one precision.

A round is as many steps as fit into half a second; the CPU waits for the GPU before the first and after the last, and
not between: it may run ahead, as in a training. A batch comes from the host in each step. Ours is one graph after its
warm-up where it can be captured, so no parts of it are timed.
"""

import json
import os
import sys
import time
from contextlib import nullcontext

from benchmarks.bench import CONFIGS, STAND_IN, Config
from benchmarks.worker import WARM_UP

SECONDS, AT_MOST = 0.5, 400  # of a round, and steps of it
TINY = Config(2, 2, 16, 8, 2, 11, steps=1)  # what the stand-in has time for


def seconds_a_step(step, wait, n):
    """The mean of n steps, made without a pause."""
    wait()
    start = time.perf_counter()
    for _ in range(n):
        step()
    wait()
    return (time.perf_counter() - start) / n


def warmed_up(step, wait, seconds=SECONDS):
    """How many steps make a round; some that nobody counts have been made."""
    for _ in range(WARM_UP):
        step()
    return max(1, min(AT_MOST, round(seconds / seconds_a_step(step, wait, 2))))


def make(name, config, precision):
    """`with make(…) as (step, wait, versions):` of a library."""
    if name == "tinyllm":
        from benchmarks.gpu.ours import tinyllm_step

        return tinyllm_step(config, precision)
    from benchmarks.gpu.theirs import torch_step

    return torch_step(config, precision, name == "torch-compile")


def serve(name, config, precision):
    """Warm up, then answer the lines of standard input."""
    from benchmarks.gpu.memory import taken_by

    with taken_by(name) as taken, make(name, config, precision) as (step, wait, versions):
        n = 1 if STAND_IN in os.environ else warmed_up(step, wait)
        answers = {"versions": lambda: versions, "round": lambda: [seconds_a_step(step, wait, n)],
                   "gemm": lambda: rate(precision), "memory": lambda: taken() / 2**20}  # fmt: skip
        for line in sys.stdin:
            print(json.dumps(answers[line.strip()]()), flush=True)


def rate(precision):
    from benchmarks.gpu.ours import product_rate

    return product_rate(precision, 64 if STAND_IN in os.environ else 8192)


def surroundings():
    """What is around a worker: nothing, or the stand-in."""
    if STAND_IN not in os.environ:
        return nullcontext()
    from tests.fake_cupy import stand_in

    return stand_in()


def main(name, config_name, precision):
    try:
        with surroundings():
            serve(name, TINY if STAND_IN in os.environ else CONFIGS[config_name], precision)
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
