"""One library that generates, in a process of its own: generate.py asks a question a line and reads an answer a line.

Both sides are greedy, at batch 1, with a cache that is allocated once, and without a graph.
"""

import json
import os
import resource
import statistics
import sys
import time

from benchmarks.bench import CONFIGS


def tinyllm_tokens(config, prompt, use_cache):
    """(tokens, versions): tokens(n) generates n of them after a prompt, and gives each as it comes."""
    import numpy as np

    from tinyllm import GPT, GPTConfig
    from tinyllm.generation import NoCache, Rules, stream

    model = GPT(GPTConfig(**config.sizes))
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (1, prompt))

    def tokens(n):
        return stream(model, ids, n, Rules(temperature=0), cache=None if use_cache else NoCache(model))

    return tokens, {"numpy": np.__version__}


def torch_tokens(config, prompt):
    """The same of torch."""
    import torch

    from reference.generation import greedy_tokens
    from reference.gpt import GPT, GPTConfig

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = GPT(GPTConfig(**config.sizes)).eval()
    ids = torch.randint(0, config.vocab_size, (1, prompt))
    return lambda n: greedy_tokens(model, ids, n), {"torch": torch.__version__}


def bandwidth(config):
    """Bytes a second of the fastest plain read there is in numpy: one product that reads as much as a token does."""
    import numpy as np

    x = np.ones(config.n_embd, np.float32)
    weights = np.ones((weight_bytes(config) // x.nbytes, len(x)), np.float32)
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        weights @ x
        seconds.append(time.perf_counter() - start)
    return weights.nbytes / statistics.median(seconds)


def weight_bytes(config, itemsize=4):
    """Of the matrices that a new token is multiplied with; each has to be read once."""
    return itemsize * (12 * config.n_layer * config.n_embd**2 + config.vocab_size * config.n_embd)


def peak_memory_mb():
    """The most this process ever held: Linux counts in KiB, macOS in bytes.

    On Linux a process starts with the peak of the one that started it: bench.py, which loads no array library.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def serve(name, config, prompt):
    if name == "torch":
        tokens, versions = torch_tokens(config, prompt)
    else:
        tokens, versions = tinyllm_tokens(config, prompt, use_cache=name == "tinyllm")
    answer(tokens, versions, lambda: bandwidth(config), peak_memory_mb)


def answer(tokens, versions, rate, memory):
    """Answer the lines of standard input: a number of tokens with what they took."""

    def measured(n):
        """Seconds for the prompt with the first token, and of each of the n tokens after it."""
        times = [time.perf_counter()]
        for _ in tokens(n + 1):
            times.append(time.perf_counter())
        seconds = [b - a for a, b in zip(times, times[1:])]
        return {"prompt": seconds[0], "token": statistics.median(seconds[1:]), "memory": memory()}

    measured(4)  # nobody counts these
    answers = {"versions": lambda: versions, "bandwidth": rate}
    for line in sys.stdin:
        question = line.strip()
        print(json.dumps(answers[question]() if question in answers else measured(int(question))), flush=True)


def main(name, config_name, prompt):
    try:
        serve(name, CONFIGS[config_name], int(prompt))
    except (ImportError, MemoryError, RuntimeError) as error:  # torch has only RuntimeErrors
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
