"""generate_worker.py for a GPU: ours on cupy, torch on CUDA, both greedy, each token brought to the host."""

import os
import sys

import numpy as np

from benchmarks.bench import CONFIGS, STAND_IN
from benchmarks.generate_worker import answer
from benchmarks.gpu.memory import taken_by
from benchmarks.gpu_worker import TINY, surroundings


def tinyllm_tokens(config, prompt, precision, use_cache):
    """(tokens, versions): tokens(n) generates n of them after a prompt, and gives each as it comes."""
    import cupy

    from benchmarks.gpu.ours import new_model
    from tinyllm import GPTConfig
    from tinyllm.backend import card
    from tinyllm.generation import NoCache, Rules, stream
    from tinyllm.precision import precision as policy

    model = new_model(GPTConfig(**config.sizes)).to("cupy")
    if precision == "bf16":
        model.to("bfloat16")
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (1, prompt))

    def tokens(n):
        with policy(precision):
            yield from stream(model, ids, n, Rules(temperature=0), cache=None if use_cache else NoCache(model))

    return tokens, {"numpy": np.__version__, "cupy": cupy.__version__, "on": card()["gpu"]}


def torch_tokens(config, prompt, precision, compiled):
    """The same of torch; compiled: in graphs of its own."""
    import torch

    from benchmarks.gpu.theirs import set_precision, torch_device
    from reference.generation import fixed_cache, greedy_tokens, greedy_tokens_at, next_logits_at
    from reference.gpt import GPT, GPTConfig

    set_precision(precision)
    device, dtype = torch_device(), torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.device(device):
        model = GPT(GPTConfig(**config.sizes)).to(dtype).eval()
    ids = torch.randint(0, config.vocab_size, (1, prompt), device=device)
    step = torch.compile(next_logits_at, mode="reduce-overhead", fullgraph=True, dynamic=False) if compiled else None
    caches = {}

    def tokens(n):
        if not compiled:
            return (token.item() for token in greedy_tokens(model, ids, n))
        if n not in caches:
            caches[n] = fixed_cache(model, 1, prompt + n)
        return (token.item() for token in greedy_tokens_at(model, ids, n, caches[n], step))

    return tokens, {"torch": torch.__version__}


def rate():
    """Bytes a second that the GPU reads: half of what a copy moves."""
    from benchmarks.gpu.ours import copy_rate

    return copy_rate(64 if STAND_IN in os.environ else 1 << 28) / 2


def main(name, config_name, argument):
    prompt, precision = argument.split(",")
    config, prompt = (TINY, 2) if STAND_IN in os.environ else (CONFIGS[config_name], int(prompt))
    try:
        with surroundings(), taken_by(name.partition("-")[0]) as taken:
            made = (torch_tokens(config, prompt, precision, name == "torch-compile") if name.startswith("torch")
                    else tinyllm_tokens(config, prompt, precision, use_cache=name == "tinyllm"))  # fmt: skip
            answer(*made, rate, lambda: taken() / 2**20)
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
