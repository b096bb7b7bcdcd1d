"""How fast is the GPU? Each measurement gives rows of milliseconds, ours beside torch's on the same card, and beside
floors: what the arithmetic, and what the reading and writing of the weights, would take at rates measured here.
"""

import gc
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

import tinyllm.kernels  # noqa: F401  (numpy's, which the GPU has to overtake)
from benchmarks.bench import CONFIGS, Config
from benchmarks.generate_worker import weight_bytes
from benchmarks.gpu.numbers import torch_twin
from benchmarks.gpu_worker import copy_rate, gemm_rate, peak_memory_mb, tinyllm_step, torch_device, torch_step
from benchmarks.worker import batch
from reference.generation import greedy_tokens
from tinyllm import GPT, GPTConfig
from tinyllm.generation import Rules, stream
from tinyllm.models.sizes import parameter_count
from tinyllm.optim import FlatAdamW

WARM_UP, AT_MOST, SECONDS = 3, 20, 4.0  # steps nobody counts; steps that are; seconds after which they are enough
BATCHES = (4, 8, 16, 32)  # of gpt2 at T=1024
PEERS = {  # torch eager first: the others are held against it
    "torch-eager": lambda config: torch_step(config, compiled=False),
    "tinyllm": tinyllm_step,
    "torch-compile": lambda config: torch_step(config, compiled=True),
}
TINY = Config(1, 1, 8, 8, 2, 11, steps=1)


def median_ms(step):
    """[whole, forward, backward, update] of a step in milliseconds, each the median of up to AT_MOST steps."""
    for _ in range(WARM_UP):
        step()
    times, start = [], time.perf_counter()
    while len(times) < AT_MOST and (len(times) < 3 or time.perf_counter() - start < SECONDS):
        times.append(step())
    return [1e3 * statistics.median(part) for part in zip(*times)]


def release():
    """Give the GPU's memory back before the next one needs it."""
    import cupy

    torch.compiler.reset()  # it holds what it compiled
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    if torch_device() == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def steps(small):
    """Whole training steps in float32."""
    configs = {"tiny": TINY} if small else {"micro": CONFIGS["micro"], "baby": CONFIGS["baby"]} | {
        f"gpt2 T=1024 B={B}": replace(CONFIGS["gpt2-1024"], batch_size=B) for B in BATCHES
    }
    flops, bytes_ = gemm_rate(64 if small else 8192), copy_rate(64 if small else 1 << 28)
    yield {"what": "float32 products", "gflops": flops / 1e9}
    yield {"what": "copies", "gb_per_second": bytes_ / 1e9}
    for what, config in configs.items():
        # of each weight: read forward and backward, a gradient written, and AdamW reads four arrays and writes three
        floors = {"flop_floor_ms": 1e3 * config.flops / flops,
                  "byte_floor_ms": 1e3 * 4 * 10 * parameter_count(GPTConfig(**config.sizes)) / bytes_}  # fmt: skip
        eager = None
        for peer in ("torch-eager", "tinyllm") if small else PEERS:
            found = measured(f"{what}: {peer}", peer, config) | floors
            if peer == "torch-eager":
                eager = found.get("step_ms")
            if eager and "step_ms" in found:
                found["speed_to_torch_eager"] = eager / found["step_ms"]
            yield found


def measured(what, peer, config):
    """The row of a library at a configuration; where memory ran out it says so."""
    release()
    try:
        step, _ = PEERS[peer](config)
        whole, forward, backward, update = median_ms(step)
    except (MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        return {"what": what, "failed": f"{type(error).__name__}: {error}".partition("\n")[0]}
    return {"what": what, "step_ms": whole, "forward_ms": forward, "backward_ms": backward, "update_ms": update,
            "tokens_per_second": config.tokens / whole * 1e3, "peak_memory_mb": peak_memory_mb(peer)}


def generation(small):
    """Greedy tokens at batch 1 with a KV cache."""
    config, prompt, n = (TINY, 3, 3) if small else (CONFIGS["gpt2-1024"], 128, 64)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (1, prompt))
    floor = 1e3 * weight_bytes(config) / (copy_rate(64 if small else 1 << 28) / 2)  # it is read, not written
    ours = GPT(GPTConfig(**config.sizes)).to("cupy")
    release()
    found = {"tinyllm": token_ms(lambda: stream(ours, ids, n, Rules(temperature=0)))}
    theirs, place = torch_twin(ours, torch_device()).eval(), torch_device()
    found["torch-eager"] = token_ms(lambda: (t.item() for t in greedy_tokens(theirs, torch.tensor(ids).to(place), n)))
    for peer, ms in found.items():
        yield {"what": peer, "token_ms": ms, "tokens_per_second": 1e3 / ms, "byte_floor_ms": floor,
               "speed_to_torch_eager": found["torch-eager"] / ms}  # fmt: skip


def token_ms(tokens):
    """The median time of a token but the first, each brought to the host, in the second round."""
    for _ in range(2):
        times = [time.perf_counter()]
        for _ in tokens():
            times.append(time.perf_counter())
    return 1e3 * statistics.median(b - a for a, b in zip(times[1:], times[2:]))


def crossover(small):
    """The size of a model from which a step is faster on the GPU than on this machine's CPU."""
    widths, first = (8, 16) if small else (32, 64, 128, 256, 512), None
    for C in widths:
        config = replace(TINY if small else CONFIGS["micro"], n_embd=C)
        release()
        here, there = median_ms(numpy_step(config))[0], median_ms(tinyllm_step(config)[0])[0]
        first = C if first is None and there < here else first
        what = f"{config.n_layer} layers, n_embd {C}, {config.tokens} tokens"
        yield {"what": what, "numpy_ms": here, "cupy_ms": there}
    yield {"what": "the GPU is faster from n_embd", "n_embd": first}


def numpy_step(config):
    """A training step of ours on the CPU, with its kernels, in one process: the seconds it took."""
    model = GPT(GPTConfig(**config.sizes))
    optimizer, (ids, targets) = FlatAdamW(model.parameters()), batch(config)

    def step():
        start = time.perf_counter()
        optimizer.backward(model.loss(ids, targets))
        optimizer.clip(1.0)
        optimizer.step()
        optimizer.zero_grad()
        return [time.perf_counter() - start]

    return step
