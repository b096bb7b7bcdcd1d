"""One library's ops in a process of its own, asked by ops.py: a question a line, an answer a line."""

import json
import os
import statistics
import sys
import time

from benchmarks.bench import CONFIGS

VIEWS = ("reshape", "getitem", "transpose", "permute")
LONG = 0.03  # seconds that an op is repeated for in a round, and
OFTEN = 3  # how often at the least


def arrays_for(call, vocab_size):
    """Arrays as this call had, of seeded numbers."""
    import numpy as np

    rng = np.random.default_rng(0)
    for described in call["arrays"]:
        if described is None:
            yield None
        else:
            shape, kind = described
            yield rng.integers(0, vocab_size, shape) if kind == "i" else rng.standard_normal(shape, np.float32)


def tinyllm_calls(config):
    """The ops of a training step, as they are called."""
    from benchmarks.intercept import calls_of
    from benchmarks.worker import batch
    from tinyllm import GPT, GPTConfig

    calls = calls_of(GPT(GPTConfig(**config.sizes)), *batch(config))
    return [call for call in calls if call["op"] not in VIEWS]


def tinyllm_op(call, config):
    """(forward, backward): y = forward(), and backward(y) for the gradients of its inputs."""
    import tinyllm
    from tinyllm.autograd import OPS, gradients

    inputs = [None if a is None else tinyllm.Tensor(a, requires_grad=a.dtype.kind == "f")
              for a in arrays_for(call, config.vocab_size)]  # fmt: skip
    op, options = OPS[call["op"]], call["options"]
    dy = op(*inputs, **options).data * 0 + 1
    return lambda: op(*inputs, **options), lambda y: gradients(y, dy)


def torch_op(call, config):
    """The same of torch's op; None where it has none."""
    import torch

    from benchmarks.torch_ops import TORCH_OPS

    if call["op"] not in TORCH_OPS:
        return None
    arrays = [None if a is None else torch.from_numpy(a) for a in arrays_for(call, config.vocab_size)]
    if call["op"] == "linear":
        arrays[1] = arrays[1].T.contiguous()  # torch's weights are (out, in)
    leaves = [a.requires_grad_() for a in arrays if a is not None and a.is_floating_point()]
    op, options = TORCH_OPS[call["op"]], call["options"]
    dy = torch.ones_like(op(*arrays, **options))
    return lambda: op(*arrays, **options), lambda y: torch.autograd.grad(y, leaves, dy)


def timed(pair):
    """Median seconds of the forward and of the backward, after one that nobody counts."""
    if pair is None:
        return None
    forward, backward = pair
    backward(forward())
    times, begun = [], time.perf_counter()
    while len(times) < OFTEN or time.perf_counter() - begun < LONG:
        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        backward(y)
        times.append((middle - start, time.perf_counter() - middle))
        del y
    return [statistics.median(part) for part in zip(*times)]


def serve(name, config, threads):
    if name == "tinyllm":
        import numpy as np
        from threadpoolctl import threadpool_limits

        from benchmarks.roofline import bandwidth
        from benchmarks.worker import gemm_rate
        from tinyllm.kernels.cpu.share import op_threads

        threadpool_limits(1)  # the threads of op_threads share an op
        op_threads(threads).__enter__()
        calls, make, versions = tinyllm_calls(config), tinyllm_op, {"numpy": np.__version__}
        rates = lambda: {"gemm": gemm_rate(threads), "bandwidth": bandwidth(threads)}
        answers = {"calls": lambda: calls, "rates": rates}
    else:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        make, versions, answers = torch_op, {"torch": torch.__version__}, {}
    answers["versions"] = lambda: versions
    for line in sys.stdin:
        question = line.strip()
        answer = answers[question]() if question in answers else timed(make(json.loads(question), config))
        print(json.dumps(answer), flush=True)


def main(name, config_name, threads):
    try:
        serve(name, CONFIGS[config_name], int(threads))
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
