"""Start every CUDA kernel of ours, at sizes that fit nothing evenly: for compute-sanitizer.

    compute-sanitizer --tool memcheck --error-exitcode 9 python benchmarks/gpu/every_kernel.py

Each array is an allocation of its own here, so that a number beside it is seen. Prints what was started, as JSON.
"""

import json
import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them)
from tinyllm import GPT, GPTConfig, Tensor, ops
from tinyllm.autograd import gradients
from tinyllm.backend import to
from tinyllm.generation import Rules, stream
from tinyllm.kernels.cuda import bias
from tinyllm.kernels.cuda import compile as sources
from tinyllm.precision import PRECISIONS
from tinyllm.precision import precision as policy
from tinyllm.training.batches import batches
from tinyllm.training.build import build_optimizer
from tinyllm.training.config import TrainConfig
from tinyllm.training.data_parallel import workers
from tinyllm.training.state import TrainState
from tinyllm.training.step import train_step

V = 131
ODD = TrainConfig(n_layer=1, n_head=3, n_embd=3 * 22, block_size=37, batch_size=3, gradient_accumulation=2,
                  dropout=0.1, max_iters=9, grad_clip=1e-3, backend="cupy", graph="off")  # fmt: skip
EVEN = replace(ODD, n_head=2, n_embd=128, block_size=70, batch_size=2)  # 16 bytes at a time, and tiles that are full

SMALL = replace(ODD, n_head=1, n_embd=9, block_size=8, batch_size=1)  # for the stand-in


def start_all(small=False):
    """Training steps and tokens of two small models in each precision: [kernels started], [kernels never started]."""
    with started() as names:
        for plan in (SMALL,) if small else (ODD, EVEN):
            for precision in ("bf16",) if small else PRECISIONS:
                train(replace(plan, precision=precision))
                generate(plan, precision)
        others()
    there = {name for path in sources.HERE.glob("*.cu") for name in kernels_of(path.read_text("utf-8"))}
    return sorted(names), sorted(there - names)


def kernels_of(text):
    """The names of the kernels in CUDA C++."""
    return re.findall(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(', text)


@contextmanager
def started():
    """Inside, the names of the kernels that are started come together."""
    names, function = set(), sources.function

    def noted(subject, name, *arguments, **options):
        names.add(name)
        return function(subject, name, *arguments, **options)

    sources.function = noted
    try:
        yield names
    finally:
        sources.function = function


def train(plan):
    """Two steps, the second of which adds to what is there."""
    ids = np.random.default_rng(0).integers(0, V, 2000)
    model = GPT(GPTConfig(V, plan.block_size, plan.n_layer, plan.n_head, plan.n_embd, plan.dropout)).to("cupy")
    state, stream_of_batches = TrainState(model, build_optimizer(plan, model), None, ""), batches(ids, plan, 0)
    with policy(plan.precision), workers(plan, state) as team:
        for _ in range(2):
            loss = train_step(state, plan, next(stream_of_batches), team=team).loss
        assert np.isfinite(Tensor(loss).item())


def generate(plan, precision):
    """A few tokens for three rows, greedy and not."""
    model = GPT(GPTConfig(V, plan.block_size, plan.n_layer, plan.n_head, plan.n_embd)).to("cupy")
    if precision == "bf16":
        model.to("bfloat16")
    ids = np.random.default_rng(0).integers(0, V, (3, 5))
    with policy(precision):
        for rules in (Rules(temperature=0), Rules(top_k=5)):
            for _ in stream(model, ids, 3, rules):
                pass


def others():
    """What no GPT of these comes to: GELU with erf, and a bias that cublasLt leaves."""
    numbers = np.random.default_rng(0).standard_normal
    for dtype in sources.REAL:
        x = Tensor(to(numbers((7, 33), np.float32), "cupy").astype(dtype), requires_grad=True)
        gradients(ops.gelu(x), to(numbers((7, 33), np.float32), "cupy").astype(dtype))
        bias.add_bias(x.data, x.data[0])
        bias.sum_rows(x.data, to(np.zeros(33, np.float32), "cupy"))


def main():
    import cupy

    cupy.cuda.set_allocator(None)
    found, missing = start_all()
    print(json.dumps({"started": found, "never": missing}))


if __name__ == "__main__":
    main()
