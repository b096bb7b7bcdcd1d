"""What a training will take, before it starts."""

import time
from dataclasses import dataclass, replace

import numpy as np

from ..backend import read_numbers
from ..models.sizes import flops_per_token, kernel_memory, parameter_count, training_memory
from ..observe import MODE
from ..precision import precision
from .batches import batches
from .build import initial_state, model_config
from .data_parallel import share_rows, workers
from .environment import memory_bytes
from .step import train_step


@dataclass(frozen=True)
class Plan:
    parameters: int
    flops_per_token: int
    tokens: int  # that the training reads in all
    memory: int  # bytes at the peak of a step

    @classmethod
    def of(cls, config, vocab_size):
        model = model_config(config, vocab_size)
        batch = 4 * 8 * config.tokens_per_step  # ids, targets, and where they stand in the text, as int64
        return cls(
            parameters=parameter_count(model),
            flops_per_token=flops_per_token(model),
            tokens=config.max_iters * config.tokens_per_step,
            memory=memory_of_a_step(model, config) + batch,
        )

    def check_memory(self, backend="numpy"):
        """Raise where this machine, or its GPU, has less memory than a step needs."""
        there, where = memory_bytes(backend), "machine" if backend == "numpy" else "GPU"
        if there is not None and self.memory > there:
            raise MemoryError(f"a step of this model ({self.parameters:,} parameters) needs about "
                              f"{self.memory / 1e9:,.1f} GB, this {where} has {there / 1e9:,.1f} GB; choose a smaller "
                              "--batch-size (and more --gradient-accumulation), --block-size, --n-embd or --n-layer")


def memory_of_a_step(model, config):
    """Bytes, for the sizes of a model (a GPTConfig) and how a TrainConfig or TuneConfig says it is trained."""
    itemsize = np.dtype(config.dtype).itemsize
    if config.backend == "numpy" and MODE.get().kernels:
        return kernel_memory(model, config.batch_size, itemsize, shared=share_rows(config))
    return training_memory(model, config.batch_size, itemsize, rounded=config.precision == "bf16")


def expected_seconds(config, corpus, steps):
    """How long `steps` training steps and their evaluations take here, going by the fastest of a second's worth."""
    one_part = replace(config, gradient_accumulation=1)
    state, stream, times = initial_state(config, corpus), batches(corpus.train_ids, one_part), []
    with workers(one_part, state) as team, precision(config.precision):
        while sum(times) < 1 and len(times) < 10:
            start = time.perf_counter()
            read_numbers([train_step(state, one_part, next(stream), team=team).loss])  # a GPU has come so far
            times.append(time.perf_counter() - start)
    token = min(times) / one_part.tokens_per_step
    evaluations = -(-steps // config.eval_interval)  # forward alone: a third of a step
    return token * (steps * config.tokens_per_step + evaluations * len(corpus.val_ids) / 3)
