"""Training steps on the stand-in as one CUDA graph: the eager steps to the bit, nothing on the way but kernels."""

from dataclasses import replace

import numpy as np
import pytest

from tinyllm.training.batches import batches
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.data_parallel import workers
from tinyllm.training.step import train_step

CONFIG = TrainConfig(n_layer=2, n_head=2, n_embd=16, block_size=8, batch_size=2, gradient_accumulation=2,
                     dropout=0.2, max_iters=40, warmup_iters=3, learning_rate=1e-2, backend="cupy")  # fmt: skip
CORPUS = Corpus.of("the cat sat on the mat. the dog sat on the log.\n" * 5, CONFIG.block_size)


@pytest.fixture(autouse=True)
def products(monkeypatch):
    monkeypatch.setattr("tests.fake_cupy.Device.product", lambda device: None)


def run(config, steps, state=None):
    """(loss, norm) of some steps, the state after them, and what made them."""
    state = state or initial_state(config, CORPUS)
    numbers, stream = [], batches(CORPUS.train_ids, config, state.step)
    with workers(config, state) as team:
        for _ in range(steps):
            progress = train_step(state, config, next(stream), team=team)
            numbers.append((progress.loss, progress.grad_norm))
    return [(float(loss), float(norm)) for loss, norm in numbers], state, team


def same(here, there):
    return all(np.array_equal(a, b) for a, b in zip(here.arrays().values(), there.arrays().values(), strict=True))


def test_replayed_steps_are_the_eager_ones_to_the_bit(cupy):
    eager, state, team = run(replace(CONFIG, graph="off"), 10)
    assert team.graph is None
    replayed, same_state, team = run(CONFIG, 10)
    assert team.graph and team.why_not is None
    assert replayed == eager
    assert same(state, same_state)
