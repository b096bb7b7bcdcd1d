"""Do graphs compute what their kernels do when each is started by itself? To the bit, for many steps."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them)
from benchmarks.gpu.every_kernel import start_all
from benchmarks.gpu.numbers import STEPS, distance, row
from benchmarks.gpu.ours import some_numbers
from benchmarks.gpu.theirs import attention_backend
from tinyllm import GPT, GPTConfig
from tinyllm.backend import to, to_numpy
from tinyllm.generation import Rules, stream
from tinyllm.kernels.cuda.products import product
from tinyllm.kernels.cuda.replay import Replay
from tinyllm.observe import plain_ops
from tinyllm.precision import PRECISIONS
from tinyllm.precision import precision as policy
from tinyllm.training.batches import batches
from tinyllm.training.build import build_optimizer
from tinyllm.training.config import TrainConfig
from tinyllm.training.data_parallel import workers
from tinyllm.training.state import TrainState
from tinyllm.training.step import train_step

PLAN = TrainConfig(n_layer=2, n_head=2, n_embd=32, block_size=24, batch_size=3, gradient_accumulation=2, dropout=0.1,
                   max_iters=STEPS, backend="cupy")  # fmt: skip
SMALL = replace(PLAN, n_layer=1, n_head=1, n_embd=8, block_size=5, batch_size=1)
LOGITS_BOUND = {"fp32": 1e-4, "tf32": 2e-2, "bf16": 6e-2}


def graph(small):
    """Training steps as a graph, and each kernel by itself: the same bits; and so they are after a checkpoint."""
    n, plan = (10, SMALL) if small else (STEPS, PLAN)
    for precision in ("bf16",) if small else PRECISIONS:
        plan = replace(plan, precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state.safetensors")
            eager = trained(replace(plan, graph="off"), [n], path)
            captured, resumed = trained(plan, [n], path), trained(plan, [n // 2, n - n // 2], path)
        for what, other in (("each kernel by itself", captured), ("with a checkpoint between", resumed)):
            yield row(f"{precision}: losses of {n} steps, {what}", distance(other[0], eager[0]), 0.0)
            worst = max(distance(other[1][name], eager[1][name]) for name in eager[1])
            yield row(f"{precision}: weights and moments, {what}", worst, 0.0)


def trained(plan, pieces, path):
    """(losses, arrays) of training steps in pieces, each of which begins from the checkpoint of the last."""
    ids, losses = np.random.default_rng(4).integers(0, 11, 2000), []
    for i, steps in enumerate(pieces):
        model = GPT(GPTConfig(11, plan.block_size, plan.n_layer, plan.n_head, plan.n_embd, plan.dropout)).to("cupy")
        state = TrainState(model, build_optimizer(plan, model), None, "")
        if i:
            state.load(path)
        batch = batches(ids, plan, state.step)
        with policy(plan.precision), workers(plan, state) as team:
            losses += [to_numpy(train_step(state, plan, next(batch), team=team).loss) for _ in range(steps)]
        state.save(path)
    return losses, state.arrays()


def decode(small):
    """Greedy tokens, each a replayed graph: those of the kernels by themselves, and scores beside the plain ops'."""
    config = GPTConfig(vocab_size=97, block_size=128, n_layer=2 if small else 6, n_head=2, n_embd=32 if small else 192)
    n = 6 if small else 100
    for precision in PRECISIONS:
        model = lively(GPT(config)).to("cupy")
        if precision == "bf16":
            model.to("bfloat16")
        ids = np.random.default_rng(0).integers(0, 97, (2, 5))
        with policy(precision):
            steps = list(stream(model, ids, n, Rules(temperature=0)))
        rows = np.concatenate([ids, np.stack([step.ids for step in steps], axis=1)], axis=1)
        with plain_ops(), model.evaluating():
            plain = to_numpy(model.to("float32")(rows[:, :-1]).data)[:, 4:]
        worst = max(distance(step.logits, plain[:, i], 1.0) for i, step in enumerate(steps))
        yield row(f"{precision}: scores of {n} tokens, plain ops", worst, LOGITS_BOUND[precision])
        chosen = np.stack([step.logits.argmax(axis=1) for step in steps], axis=1)
        yield row(f"{precision}: tokens that are not the likeliest", (chosen != rows[:, 5:]).sum(), 0)


def lively(model):
    """Weights so large that the scores differ."""
    for parameter in model.parameters():
        parameter.data = parameter.data * (5 if parameter.ndim > 1 else 1)
    return model


def probes(small):
    """What everything else here stands on, each by itself."""
    yield product_in_a_graph(33 if small else 1024)
    yield memory_of_a_graph(10 if small else 100)
    if not small:  # the section `sanitizer` does so in small
        start = time.perf_counter()
        found, missing = start_all()
        yield {"what": "kernels compiled by NVRTC", "ok": not missing, "kernels": len(found),
               "never": ", ".join(missing), "seconds": time.perf_counter() - start}  # fmt: skip
    for precision in ("fp32", "bf16"):
        yield {"what": f"torch's attention, {precision}", "kernels": ", ".join(attention_backend(precision))}


def product_in_a_graph(n):
    """cublasLt, by our own binding with its own workspace, in a captured stream."""
    a, b = (to(x, "cupy") for x in np.resize(some_numbers(), (2, n, n)))
    out, worst = product(a, b), 0.0
    replay = Replay(lambda: product(a, b, out), "a product")
    for _ in range(5):
        replay()
        worst = max(worst, distance(to_numpy(out), to_numpy(product(a, b))))
        a += 1
    return row("a product in a graph is the product" + told(replay), worst, 0.0)


def memory_of_a_graph(times):
    """What a graph writes on the way is nobody else's: other arrays come and go between its replays."""
    x, y = to(np.resize(some_numbers(), 100_000), "cupy"), to(np.zeros(100_000, np.float32), "cupy")

    def run():
        z = x * 2
        z = z + 1
        y[...] = y + z * x

    replay, others = Replay(run, "three sums"), []
    for i in range(times):
        replay()
        others.append(x * i)
        others = others[-3:]
    kept = max(distance(to_numpy(other), to_numpy(x * i)) for i, other in zip(range(times - 3, times), others))
    here, expected = to_numpy(x).astype(np.float32), np.zeros(100_000, np.float32)
    for _ in range(times):
        expected += (here * 2 + 1) * here
    return row("a graph and other arrays leave each other alone" + told(replay),
               max(kept, distance(to_numpy(y), expected)), 1e-5)  # fmt: skip


def told(replay):
    return f" (not captured: {replay.why_not})" if replay.why_not else ""
