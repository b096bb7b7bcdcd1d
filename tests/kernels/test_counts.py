"""What a training step with kernels costs, counted: matrix products, bytes kept for the backward, arrays made."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.intercept import calls_of
from tinyllm import GPT, GPTConfig, Tensor
from tinyllm.kernels.cpu import ARENA, linear, linear_cross_entropy
from tinyllm.optim import FlatAdamW
from tinyllm.parallel import Threads
from tinyllm.training import data_parallel, shares
from tinyllm.training.data_parallel import workers

SIZES = GPTConfig(vocab_size=9000, block_size=64, n_layer=3, n_head=4, n_embd=128)
B = 4


@contextmanager
def stepper(sizes=SIZES, n=1, batch_size=B):
    """Gives step(): forward, backward and update, by n workers."""
    model = GPT(sizes)
    optimizer = FlatAdamW(model.parameters(), ARENA.empty)
    ids, targets = (Tensor(x) for x in batch(sizes, batch_size))
    config = SimpleNamespace(workers=n, batch_size=batch_size, gradient_accumulation=1, seed=0, grad_clip=1.0)

    def step():
        if team:
            team.loss_and_norm(0, (ids, targets))
        else:
            optimizer.backward(model.loss(ids, targets))
            optimizer.clip(1.0)
        (team or optimizer).step()
        optimizer.zero_grad()

    with workers(config, SimpleNamespace(model=model, optimizer=optimizer)) as team:
        yield step


def peak_of(step):
    """Bytes of the arena that a step takes at the most."""
    ARENA.trim()
    ARENA.peak = before = ARENA.in_use
    step()
    return ARENA.peak - before


def batch(sizes, batch_size):
    return np.random.default_rng(0).integers(0, sizes.vocab_size, (2, batch_size, sizes.block_size))


def test_each_matrix_product_is_one_call(monkeypatch):
    """Each layer has four, the output layer one for 4,096 words; forward, dx, dweight."""
    calls = []
    for module in (linear, linear_cross_entropy):
        monkeypatch.setattr(module, "product", lambda *arrays, real=module.product: calls.append(1) or real(*arrays))
    with stepper() as step:
        step()
    assert len(calls) == 3 * (4 * SIZES.n_layer + 3)


def test_what_each_op_keeps_for_the_backward():
    """In vectors of C a token: what an earlier op keeps is not counted again, so the sum is what a step holds."""
    calls, kept = calls_of(GPT(SIZES), *batch(SIZES, B)), {}
    for call in calls:
        kept[call["op"]] = kept.get(call["op"], 0) + call["saved"] / (4 * B * SIZES.block_size * SIZES.n_embd)
    L, C, H = SIZES.n_layer, SIZES.n_embd, SIZES.n_head
    assert kept["add"] == kept["getitem"] == kept["reshape"] == 0
    assert kept["layer_norm"] == pytest.approx(2 * L + 1, rel=0.02)  # x̂
    assert kept["linear"] == 2 * L + 4 * L  # what layer norms and GELU made
    assert kept["gelu_tanh"] == 4 * L  # the slope
    assert kept["causal_attention"] == pytest.approx(4 * L + L * H * SIZES.block_size / C, rel=0.02)  # q k v y; E
    assert kept["linear_cross_entropy"] == pytest.approx(SIZES.vocab_size / C + 1, rel=0.02)  # scores and x
    assert kept["embedding"] < 0.05  # ids


def test_gradients_take_the_place_of_activations():
    """What is in use at the most is the activations at the start of the backward, with one layer's gradients."""
    sizes = GPTConfig(vocab_size=65, block_size=64, n_layer=6, n_head=4, n_embd=128)
    with stepper(sizes, batch_size=12) as step:
        step()
        peak = peak_of(step)
    tokens, gradients = 12 * 64, 4 * 6 * 12 * 128**2
    kept = 4 * tokens * 6 * (16 * 128 + 4 * 64)
    assert kept < peak < kept + 4 * tokens * 10 * 128 + gradients / 3


@pytest.mark.parametrize("n", [1, 2])
def test_no_array_of_the_size_of_the_vocabulary_but_its_gradient(n, monkeypatch):
    """The output layer adds to it block by block, then the embedding adds its rows; workers share one."""
    table, scores, block = 4 * 40_000 * 64, 4 * 16 * 40_000, 4 * 4096 * 64
    monkeypatch.setattr(data_parallel, "choose_team", Threads)
    monkeypatch.setattr(shares, "EARLY", block)  # a worker that comes too early keeps no more of its blocks
    sizes = GPTConfig(vocab_size=40_000, block_size=8, n_layer=1, n_head=2, n_embd=64)
    with stepper(sizes, n, batch_size=2) as step:
        step()
        peak = peak_of(step)
    assert peak < scores + (table if n == 1 else 0) + n * (2 if n == 1 else 4) * block < 2 * scores + table


@pytest.mark.parametrize("n", [1, 2])
def test_every_step_makes_as_many_arrays(n, monkeypatch):
    """In memory that is there after the first."""
    monkeypatch.setattr(data_parallel, "choose_team", Threads)
    made, sizes = [], []
    with stepper(n=n) as step:
        for _ in range(4):
            before = ARENA.made
            step()
            made.append(ARENA.made - before)
            sizes.append(ARENA.size)
    assert len(set(sizes[1:])) == 1
    if n == 1:  # of two, who comes first to a part needs no array for what it adds
        assert len(set(made)) == 1
