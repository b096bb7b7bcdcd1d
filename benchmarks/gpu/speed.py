"""How fast is the GPU? Each measurement gives rows of milliseconds, ours beside torch's on the same card in the same
precision, and beside floors: what the arithmetic, and what the reading and writing of the weights, would take at rates
measured here.
"""

import gc
import statistics
import time
from dataclasses import replace

import torch

import tinyllm.kernels  # noqa: F401  (attaches them)
from benchmarks.bench import CONFIGS, PRECISIONS
from benchmarks.generate_worker import weight_bytes
from benchmarks.gpu.memory import taken_by
from benchmarks.gpu.ours import copy_rate, product_rate, tinyllm_step
from benchmarks.gpu.theirs import torch_device
from benchmarks.gpu_generate_worker import tinyllm_tokens, torch_tokens
from benchmarks.gpu_worker import TINY, make, seconds_a_step, warmed_up
from benchmarks.worker import batch
from tinyllm import GPT, GPTConfig
from tinyllm.models.sizes import parameter_count
from tinyllm.optim import FlatAdamW

ROUNDS, SECONDS = 3, 0.4  # of a library at a configuration, and of a round
COMPILED = {  # compiling takes torch 20 s, so not everywhere; bench.py --peers torch-compile has the rest
    "fp32": ("gpt2-b8",), "tf32": ("gpt2-b8",), "bf16": ("micro", "baby", "gpt2-b4", "gpt2-b8", "gpt2-b32"),
}  # fmt: skip
STEPS = ("micro", "baby", "gpt2-b4", "gpt2-b8", "gpt2-b16", "gpt2-b32")


def release():
    """Give the GPU's memory back before the next one needs it."""
    import cupy

    torch.compiler.reset()  # it holds what it compiled
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    if torch_device() == "cuda":
        torch.cuda.empty_cache()


def steps(small):
    """Whole training steps in each precision, beside torch eager and, for some, torch.compile."""
    configs = {"tiny": TINY} if small else {name: CONFIGS[name] for name in STEPS}
    n = 64 if small else 8192
    rates = {precision: product_rate(precision, n) for precision in PRECISIONS}
    bytes_ = copy_rate(64 if small else 1 << 28)
    yield {"what": "products", **{f"{precision}_gflops": rate / 1e9 for precision, rate in rates.items()}}
    yield {"what": "copies", "gb_per_second": bytes_ / 1e9}
    for precision in PRECISIONS:
        for name, config in configs.items():
            # of each weight: read forward and backward, a gradient written, and AdamW reads four and writes three
            floors = {"flop_floor_ms": 1e3 * config.flops / rates[precision],
                      "byte_floor_ms": 1e3 * 4 * 10 * parameter_count(GPTConfig(**config.sizes)) / bytes_}  # fmt: skip
            compiled = ("torch-compile",) * (name in COMPILED[precision])
            rows = {}
            for peer in ("torch-eager", "tinyllm", *compiled):
                rows[peer] = measured(f"{name} {precision}: {peer}", peer, config, precision, 0 if small else SECONDS)
                if "step_ms" in rows[peer]:
                    rows[peer] |= floors | {"mfu": config.model_flops / rates[precision] / rows[peer]["step_ms"] * 1e3}
                yield rows[peer]
            yield beside_torch(f"{name} {precision}: ratios", rows)


def measured(what, peer, config, precision, seconds):
    """The row of a library at a configuration; where memory ran out it says so."""
    release()
    try:
        with taken_by(peer) as taken, make(peer, config, precision) as (step, wait, _):
            n = warmed_up(step, wait, seconds)
            seconds = statistics.median(seconds_a_step(step, wait, n) for _ in range(ROUNDS))
            found = {"what": what, "step_ms": 1e3 * seconds, "tokens_per_second": config.tokens / seconds,
                     "peak_memory_mb": taken() / 2**20}  # fmt: skip
            if peer == "tinyllm" and (reason := step.keywords["team"].why_not):
                found["not_captured"] = reason
            return found
    except (MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        return {"what": what, "failed": f"{type(error).__name__}: {error}".partition("\n")[0]}


def beside_torch(what, rows):
    """How many times as fast as torch ours is, and how many times as much memory it takes."""
    ours, found = rows["tinyllm"], {}
    for peer in rows.keys() - {"tinyllm"}:
        if "failed" in ours or "failed" in rows[peer]:
            continue
        name = peer.replace("-", "_")
        found[f"speed_to_{name}"] = rows[peer]["step_ms"] / ours["step_ms"]
        if rows[peer]["peak_memory_mb"]:
            found[f"memory_to_{name}"] = ours["peak_memory_mb"] / rows[peer]["peak_memory_mb"]
    return {"what": what, **found}


def generation(small):
    """Greedy tokens of a 124M model at batch 1 with a KV cache, beside torch eager and, for some, torch.compile."""
    config, prompt, n = (TINY, 2, 3) if small else (CONFIGS["gpt2-1024"], 128, 128)
    rate = copy_rate(64 if small else 1 << 28) / 2  # weights are read, and not written
    for precision in PRECISIONS:
        floor = 1e3 * weight_bytes(config, 2 if precision == "bf16" else 4) / rate
        peers = {"torch-eager": lambda: torch_tokens(config, prompt, precision, compiled=False),
                 "tinyllm": lambda: tinyllm_tokens(config, prompt, precision, use_cache=True)}  # fmt: skip
        if precision != "tf32" and not small:
            peers["torch-compile"] = lambda: torch_tokens(config, prompt, precision, compiled=True)
        rows = {}
        for peer, tokens in peers.items():
            release()
            ms = token_ms(tokens()[0], n)
            rows[peer] = {"what": f"{precision}: {peer}", "token_ms": ms, "tokens_per_second": 1e3 / ms,
                          "byte_floor_ms": floor}  # fmt: skip
            yield rows[peer]
        speeds = {f"speed_to_{peer.replace('-', '_')}": row["token_ms"] / rows["tinyllm"]["token_ms"]
                  for peer, row in rows.items() if peer != "tinyllm"}  # fmt: skip
        yield {"what": f"generation {precision}: ratios", **speeds}


def token_ms(tokens, n):
    """The median time of a token but the first two, each brought to the host, in the second round."""
    for _ in range(2):
        times = [time.perf_counter()]
        for _ in tokens(n):
            times.append(time.perf_counter())
    return 1e3 * statistics.median(b - a for a, b in zip(times[2:], times[3:]))


def crossover(small):
    """The size of a model from which a step is faster on the GPU than on this machine's CPU."""
    widths, first = (8,) if small else (32, 64, 128, 256, 512), None
    for C in widths:
        config = replace(TINY if small else CONFIGS["micro"], n_embd=C)
        release()
        seconds = 0 if small else SECONDS
        here = 1e3 * mean_seconds(*numpy_step(config), seconds)
        with tinyllm_step(config) as (step, wait, _):
            there = 1e3 * mean_seconds(step, wait, seconds)
        first = C if first is None and there < here else first
        what = f"{config.n_layer} layers, n_embd {C}, {config.tokens} tokens"
        yield {"what": what, "numpy_ms": here, "cupy_ms": there}
    yield {"what": "the GPU is faster from n_embd", "n_embd": first}


def mean_seconds(step, wait, seconds):
    return seconds_a_step(step, wait, warmed_up(step, wait, seconds))


def numpy_step(config):
    """A training step of ours on the CPU, with its kernels, in one process; and nothing to wait for."""
    model = GPT(GPTConfig(**config.sizes))
    optimizer, (ids, targets) = FlatAdamW(model.parameters()), batch(config)

    def step():
        optimizer.backward(model.loss(ids, targets))
        optimizer.clip(1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, bool
