"""What a training will take: counted before anything of it is made."""

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tinyllm import GPT, Tensor
from tinyllm.kernels.cpu import ARENA
from tinyllm.models.sizes import kernel_memory, training_memory
from tinyllm.observe import plain_ops
from tinyllm.parallel import Threads
from tinyllm.training import data_parallel, plan
from tinyllm.training.build import initial_state, model_config
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.data_parallel import workers
from tinyllm.training.plan import Plan, expected_seconds
from tinyllm.training.step import train_step

CONFIG = TrainConfig(n_layer=2, n_head=2, n_embd=16, block_size=8, batch_size=4, max_iters=100, eval_interval=40,
                     workers=2)  # fmt: skip
VOCABULARY = 11
MODEL = kernel_memory(model_config(CONFIG, VOCABULARY), batch_size=4, shared=True)
BATCH = 4 * 8 * (4 * 8)  # the ids of a step, their targets and where both stand in the text, drawn at once as int64
CORPUS = Corpus.of("the cat sat on the mat. " * 30, CONFIG.block_size)


def test_a_plan_is_of_the_model_that_will_be_trained():
    found = Plan.of(CONFIG, VOCABULARY)
    assert found.parameters == sum(p.data.size for p in GPT(model_config(CONFIG, VOCABULARY)).parameters())
    assert found.tokens == 100 * 4 * 8
    assert found.memory == MODEL + BATCH


@pytest.mark.parametrize(
    ("change", "tokens", "memory"),
    [
        ({"max_iters": 200}, 2, MODEL + BATCH),
        ({"gradient_accumulation": 3}, 3, MODEL + 3 * BATCH),
        ({"dtype": "float64"}, 1, 2 * MODEL + BATCH),
    ],
    ids=lambda value: next(iter(value), None) if isinstance(value, dict) else "",
)
def test_what_makes_a_training_longer_or_larger(change, tokens, memory):
    before, after = Plan.of(CONFIG, VOCABULARY), Plan.of(replace(CONFIG, **change), VOCABULARY)
    assert (after.tokens, after.memory) == (tokens * before.tokens, memory)
    assert (after.parameters, after.flops_per_token) == (before.parameters, before.flops_per_token)


def test_without_kernels_it_is_that_of_the_plain_ops_and_with_one_worker_that_of_one():
    model = model_config(CONFIG, VOCABULARY)
    with plain_ops():
        assert Plan.of(CONFIG, VOCABULARY).memory == training_memory(model, batch_size=4) + BATCH
    for change in ({"workers": 1}, {"workers": 5}):
        assert Plan.of(replace(CONFIG, **change), VOCABULARY).memory == kernel_memory(model, batch_size=4) + BATCH


SHAPES = {
    "as micro": ({}, 65),
    "one layer": ({"n_layer": 1}, 65),
    "a large vocabulary": ({"n_layer": 2}, 3000),
    "mostly parameters": ({"n_embd": 384, "n_layer": 2, "block_size": 32, "batch_size": 4}, 65),
    "long windows": ({"block_size": 320, "batch_size": 2}, 65),
    "longer ones": ({"block_size": 640, "batch_size": 2, "n_layer": 2}, 65),
    "dropout": ({"dropout": 0.1}, 65),
    "as gpt2": ({"block_size": 128, "batch_size": 2, "n_layer": 6}, 6000),
}


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("change", "vocabulary"), SHAPES.values(), ids=SHAPES)
def test_the_memory_of_the_kernels_is_the_peak_of_a_step(change, vocabulary, n, monkeypatch):
    monkeypatch.setattr(data_parallel, "choose_team", Threads)
    config = replace(CONFIG, **{"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "batch_size": 12} | change,
                     workers=n)  # fmt: skip
    ids = np.random.default_rng(0).integers(0, vocabulary, (2, config.batch_size, config.block_size))
    tracemalloc.start()
    try:
        state = initial_state(config, SimpleNamespace(tokenizer=SimpleNamespace(vocab_size=vocabulary), text_sha256=""))
        with workers(config, state) as team:
            for _ in range(2):
                tracemalloc.reset_peak()
                ARENA.trim()
                ARENA.peak = before = ARENA.in_use
                train_step(state, config, list(map(Tensor, ids)), team=team)
            peak = tracemalloc.get_traced_memory()[1] + ARENA.peak - before
    finally:
        tracemalloc.stop()
    expected = plan.memory_of_a_step(model_config(config, vocabulary), config)
    assert 0.9 * peak < expected < 1.2 * peak


def test_what_does_not_fit_into_the_memory_is_refused(monkeypatch):
    found = Plan.of(CONFIG, VOCABULARY)
    monkeypatch.setattr(plan, "memory_bytes", lambda backend: found.memory - 1)
    with pytest.raises(MemoryError, match=rf"\({found.parameters:,} parameters\) needs about .* GB, this machine has "):
        found.check_memory()
    monkeypatch.setattr(plan, "memory_bytes", lambda backend: found.memory)
    found.check_memory()
    monkeypatch.setattr(plan, "memory_bytes", lambda backend: None)
    found.check_memory()  # where it cannot be told it is tried


@pytest.mark.parametrize("change", [{"n_embd": 2**40}, {"n_layer": 10**12}, {"batch_size": 10**12}, {"n_head": 2**40}])
def test_a_plan_of_the_impossible_takes_no_memory_and_no_time(change):
    with pytest.raises(MemoryError, match="choose a smaller --batch-size .* --block-size, --n-embd or --n-layer"):
        Plan.of(replace(CONFIG, **change), VOCABULARY).check_memory()


class Clock:
    """Each training step takes as long as the next of `steps` says, in seconds."""

    def __init__(self, *steps):
        self.steps, self.now, self.made = steps, 0.0, 0

    def train_step(self, state, config, batch, team):
        self.now += self.steps[self.made]
        self.made += 1
        return SimpleNamespace(loss=0.0)

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(
    ("steps", "made"),
    [((5.0,), 1), ((0.25, 0.125, 0.25, 0.5), 4), ((0.125,) * 20, 8), ((2**-6,) * 20, 10)],
    ids=["a slow one is made once", "the fastest counts", "a second's worth", "ten at most"],
)
def test_the_expected_time_is_that_of_the_steps_and_their_evaluations(steps, made, monkeypatch):
    clock = Clock(*steps)
    monkeypatch.setattr(plan, "train_step", clock.train_step)
    monkeypatch.setattr(plan, "time", clock)
    seconds = expected_seconds(CONFIG, CORPUS, steps=90)
    assert clock.made == made
    token = min(steps) / (4 * 8)
    evaluations = 3  # after step 40, step 80 and the last one
    assert seconds == pytest.approx(90 * 32 * token + evaluations * len(CORPUS.val_ids) * token / 3)
