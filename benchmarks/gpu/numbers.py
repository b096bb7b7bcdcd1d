"""Are the GPU's numbers right? Each check gives rows {what, error, bound, ok}; an error is that of the worst entry, as
a share of the largest one.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import reference.gpt
import reference.training
import tinyllm.ops  # noqa: F401  (fills OPS)
from benchmarks.gpu.theirs import torch_device
from tests.op_cases import Case, examples
from tests.op_checks import cast, upstream
from tinyllm import GPT, AdamW, GPTConfig, Tensor
from tinyllm.autograd import OPS, gradients
from tinyllm.backend import dtype_of, product_error, to, to_numpy
from tinyllm.kernels.cuda.products import product
from tinyllm.precision import precision as policy
from tinyllm.random import dropout_step
from tinyllm.training.batches import batches
from tinyllm.training.build import build_optimizer
from tinyllm.training.config import TrainConfig
from tinyllm.training.state import TrainState
from tinyllm.training.step import train_step

BOUND = {"float64": 1e-11, "float32": 1e-5}  # of one op
MODEL_BOUND = {"float64": 1e-9, "float32": 2e-4, "tf32": 2e-2, "bf16": 1e-1}  # of a model: its roundings add up
PRODUCT_BOUND = {"fp32": 1e-5, "tf32": 2e-3, "bf16": 5e-3}
LOSS_BOUND = {"float64": 1e-8, "float32": 5e-3}  # of a loss after up to 200 steps, in which roundings grow
STEPS = 200


def row(what, error, bound):
    return {"what": what, "error": float(error), "bound": bound, "ok": bool(error <= bound)}


def distance(ours, theirs, floor=1e-6):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return np.inf
    finite = np.isfinite(theirs)
    return np.abs(ours - theirs, where=finite, out=np.zeros(ours.shape)).max(initial=0) / max(
        np.abs(theirs[finite]).max(initial=0), floor)  # fmt: skip


def products(small):
    """Matrix products, whatever the layout of what goes in: those of cupy, and ours by cublasLt in each precision."""
    yield row("cupy's: one matrix and a batch of them", product_error("cupy"), 1e-5)
    rng, n = np.random.default_rng(0), 33 if small else 513
    a, b = rng.standard_normal((2, 3, n, n)).astype(np.float32)
    layouts = {"a @ b": lambda x, y: (x, y), "a @ bᵀ": lambda x, y: (x, y.swapaxes(-1, -2)),
               "aᵀ @ b": lambda x, y: (x.swapaxes(-1, -2), y),
               "a part @ b": lambda x, y: (x[..., 1:, 2:], y[..., 2:, 1:])}  # fmt: skip
    for what, layout in layouts.items():
        yield from product_rows(f"cupy's: {what}", layout, a, b, lambda x, y: x @ y, 1e-5)
        for precision, bound in PRODUCT_BOUND.items():
            dtype = dtype_of("bfloat16" if precision == "bf16" else "float32")
            ours, x, y = product_in(precision), a.astype(dtype), b.astype(dtype)
            yield from product_rows(f"{precision}: {what}", layout, x, y, ours, bound)


def product_in(precision):
    """Our product of two arrays, in a precision."""

    def multiplied(x, y):
        with policy(precision):
            return product(x, y)

    return multiplied


def product_rows(what, layout, a, b, product, bound):
    """How far off the product of a batch of matrices is, and of one."""
    for kind, x, y in (("a batch", a, b), ("a matrix", a[0], b[0])):
        first, second = layout(x.astype(np.float64), y.astype(np.float64))
        found = to_numpy(product(*layout(to(x, "cupy"), to(y, "cupy"))))
        yield row(f"{what}, {kind}", distance(found.astype(np.float64), first @ second), bound)


# ops


def run(name, case, dtype, backend):
    """[y, gradient of each input] of an op as numpy arrays."""
    def moved(x):
        if isinstance(x, tuple):
            return tuple(map(moved, x))
        return to(x, backend) if isinstance(x, np.ndarray) else x

    inputs = [x if x is None else Tensor(to(cast(x, dtype), backend), x.dtype.kind == "f") for x in case.inputs]
    y = OPS[name](*inputs, **{key: moved(value) for key, value in case.options.items()})
    grads = gradients(y, to(upstream(np.empty(y.shape, dtype)), backend))
    return [to_numpy(y.data), *(to_numpy(grads[x]) for x in inputs if x is not None and x in grads)]


def large_cases(small):
    """{op: a Case} in the sizes of GPT-2, or of what a test has time for."""
    B, T, C, V, H = (2, 5, 8, 50, 2) if small else (4, 1024, 768, 50257, 12)
    rng = np.random.default_rng(1)
    normal, ids = rng.standard_normal, rng.integers(0, V, B * T)
    made = {
        "layer_norm": ([normal((B, T, C)), normal(C), normal(C)], {}),
        "linear": ([normal((B, T, C)), normal((C, 4 * C)), normal(4 * C)], {}),
        "gelu_tanh": ([normal((B, T, 4 * C))], {}),
        "causal_attention": ([normal((B, T, 3 * C)), None], {"n_head": H}),
        "embedding": ([ids.reshape(B, T), normal((V, C))], {}),
        "cross_entropy": ([normal((T, V)), ids[:T]], {}),
        "linear_cross_entropy": ([normal((T, C)), 0.02 * normal((V, C)), ids[:T]], {}),
        "softmax": ([normal((B * T, T))], {}),
        "add": ([normal((B, T, C)), normal((T, C))], {}),
    }
    return {name: Case(inputs, None, options) for name, (inputs, options) in made.items()}


def ops(small):
    """Every op forward and backward: many small cases against numpy, the large ones against numpy in float64."""
    for name in sorted(OPS):
        for dtype in BOUND:
            worst = max(
                distance(ours, theirs, 0.1)  # the numbers that go in are of size 1
                for case in examples(name, 1 if small else 40)
                for ours, theirs in zip(run(name, case, dtype, "cupy"), run(name, case, dtype, "numpy"), strict=True)
            )
            yield row(f"{name} {dtype}", worst, BOUND[dtype])
    for name, case in large_cases(small).items():
        ours, theirs = run(name, case, "float32", "cupy"), run(name, case, "float64", "numpy")
        yield row(f"{name} float32, {case.inputs[0].shape}", max(map(distance, ours, theirs)), BOUND["float32"])


# the model


def sizes(small):
    tiny = {"tiny": GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8)}
    return tiny if small else tiny | {"micro": GPTConfig(), "gpt2": GPTConfig(50257, 256, 12, 12, 768)}


def torch_twin(model, place):
    """The reference's model with the weights of ours."""
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(model.config))).to(place)
    theirs = theirs.to(getattr(torch, str(next(model.parameters()).dtype)))
    theirs.load_state_dict({name: torch.from_numpy(to_numpy(array)) for name, array in model.state_dict().items()})
    return theirs


def model(small):
    """Logits and every gradient against numpy's, and against torch's on the same card."""
    for what, config in sizes(small).items():
        for dtype in ("float32",) if what == "gpt2" else BOUND:
            ids, targets = np.random.default_rng(2).integers(0, config.vocab_size, (2, 2, config.block_size))
            here, there = GPT(config, dtype=dtype), GPT(config, dtype=dtype).to("cupy")
            theirs = torch_twin(here, torch_device())
            place = next(theirs.parameters()).device
            logits = theirs(torch.from_numpy(ids).to(place)).detach().cpu().numpy()
            theirs.loss(*(torch.from_numpy(x).to(place) for x in (ids, targets))).backward()
            expected = {name: p.grad.cpu().numpy() for name, p in theirs.named_parameters()}
            for ours in (here, there):
                ours.loss(ids, targets).backward()
            found = to_numpy(there(ids).data)
            mine, numpys = ({name: to_numpy(p.grad) for name, p in m.named_parameters()} for m in (there, here))
            bound = MODEL_BOUND[dtype]
            yield row(f"{what} {dtype}: logits, numpy", distance(found, here(ids).data), bound)
            yield row(f"{what} {dtype}: logits, torch", distance(found, logits), bound)
            yield row(f"{what} {dtype}: gradients, numpy", max(distance(mine[n], numpys[n]) for n in mine), bound)
            yield row(f"{what} {dtype}: gradients, torch", max(distance(mine[n], expected[n]) for n in mine), bound)
            for precision in ("tf32", "bf16") if dtype == "float32" else ():
                bound, there = MODEL_BOUND[precision], GPT(config).to("cupy")
                if precision == "bf16":
                    there.to("bfloat16")
                with policy(precision):
                    there.loss(ids, targets).backward()
                    found = to_numpy(there(ids).data)
                mine = {name: to_numpy(p.grad) for name, p in there.named_parameters()}
                yield row(f"{what} {precision}: logits, numpy", distance(found, here(ids).data), bound)
                worst = max(distance(mine[n], numpys[n], abs(numpys["wte.weight"]).max()) for n in mine)
                yield row(f"{what} {precision}: gradients, numpy", worst, bound)


def training(small):
    """The losses of 200 steps of AdamW with clipping, and with dropout against numpy; torch is on the same card."""
    steps, config = (3, sizes(True)["tiny"]) if small else (STEPS, GPTConfig())
    for dtype, bound in LOSS_BOUND.items():
        start = GPT(config, dtype=dtype)
        torchs = torch_losses(torch_twin(start, torch_device()), steps)
        ours = losses(GPT(config, dtype=dtype).to("cupy"), steps)
        yield row(f"{dtype}: torch's losses", distance(ours, torchs), bound)
        dropped = replace(config, dropout=0.2)
        there, here = (losses(GPT(dropped, dtype=dtype).to(backend), steps) for backend in ("cupy", "numpy"))
        yield row(f"{dtype}: numpy's losses, dropout 0.2", distance(there, here), bound)


def batch_of(config, step):
    return np.random.default_rng([3, step]).integers(0, min(config.vocab_size, 20), (2, 4, config.block_size))


def losses(model, steps):
    optimizer, found = AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1), []
    for step in range(steps):
        with dropout_step(0, step):
            loss = model.loss(*batch_of(model.config, step))
        optimizer.backward(loss)
        optimizer.clip(1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


def torch_losses(model, steps):
    place = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    batches = ([torch.from_numpy(x).to(place) for x in batch_of(model.config, step)] for step in range(steps))
    return [reference.training.train_step(model, optimizer, *batch, 1e-3)[0] for batch in batches]


def resume(small):
    """A run that changes its backend at each checkpoint, numpy, cupy, numpy, is the run that stayed on numpy."""
    config = TrainConfig(n_layer=2, n_head=2, n_embd=16, block_size=16, batch_size=4, max_iters=30, dropout=0.1,
                         dtype="float64", learning_rate=1e-2)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        whole = run_pieces(config, ["numpy"] * 3, Path(folder))
        mixed = run_pieces(config, ["numpy", "cupy", "numpy"], Path(folder))
    yield row("weights and moments after 30 steps", max(distance(mixed[n], whole[n]) for n in whole), 1e-8)


def run_pieces(config, backends, folder):
    """The arrays of a training whose pieces of 10 steps ran on the given backends, with a checkpoint between them."""
    ids, path = np.random.default_rng(4).integers(0, 11, 2000), folder / "state.safetensors"
    for i, backend in enumerate(backends):
        here = replace(config, backend=backend)
        model = GPT(GPTConfig(11, 16, 2, 2, 16, dropout=0.1), dtype=config.dtype).to(backend)
        state = TrainState(model, build_optimizer(here, model), None, "")
        if i:
            state.load(path)
        stream = batches(ids, here, state.step)
        for _ in range(10):
            train_step(state, here, next(stream))
        state.save(path)
    return state.arrays()
