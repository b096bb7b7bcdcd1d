"""Padding and the order of a batch change neither the loss nor a gradient, of pairs and of policies as of answers."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_gpt_equals_torch import random_weights
from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig
from tinyllm.finetune.classifier import Classifier
from tinyllm.finetune.dpo import DPO
from tinyllm.finetune.examples import IGNORED, Example
from tinyllm.finetune.policy import ActorCritic, policy_loss
from tinyllm.finetune.ppo_config import PPOConfig
from tinyllm.finetune.preferences import EncodedPair, pair_batch
from tinyllm.finetune.reward import RewardModel

CONFIG = GPTConfig(vocab_size=9, block_size=12, n_layer=2, n_head=2, n_embd=8)
lengths = st.lists(st.tuples(st.integers(2, 7), st.integers(2, 7)), min_size=1, max_size=4)
seeds, more = st.integers(0, 2**32 - 1), st.integers(0, 4)


def gpt(seed):
    model = GPT(CONFIG, dtype="float64")
    model.load_state_dict(random_weights(CONFIG, np.random.default_rng(seed)))
    return model


def found(model, loss):
    model.zero_grad()
    loss.backward()
    return {"loss": np.asarray(loss.item())} | {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name in ours:
        assert_close(name, ours[name], theirs[name], 1e-10)


def wider(array, more, value):
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, more)], constant_values=value)


def pairs(rng, sizes):
    def answer(n):
        ids = rng.integers(1, 9, n + 1)
        return Example(ids[:-1], np.where(np.arange(n) < n // 2, IGNORED, ids[1:]))

    return [EncodedPair(answer(a), answer(b), float(rng.random()), bool(rng.random() < 0.3)) for a, b in sizes]


@pytest.mark.parametrize("method", ["dpo", "reward"])
@settings(max_examples=15)
@given(lengths, more, seeds, st.randoms(use_true_random=False))
def test_pairs(method, sizes, more, seed, shuffler):
    model, rows = gpt(0), pairs(np.random.default_rng(seed), sizes)
    if method == "dpo":
        task = SimpleNamespace(reference=gpt(1).requires_grad_(False), config=SimpleNamespace(beta=0.3))
        loss_of = lambda arrays: DPO.loss(task, model, *arrays)[0]
    else:
        model = Classifier(model, 1, "regression")
        loss_of = lambda arrays: RewardModel.loss(None, model, *arrays)[0]
    arrays = [tensor.data for tensor in pair_batch(rows, "float64")]
    expected = found(model, loss_of(arrays))
    padded = [wider(arrays[0], more, 7), wider(arrays[1], more, IGNORED), *arrays[2:]]
    assert_same(found(model, loss_of(padded)), expected)
    shuffler.shuffle(rows)
    assert_same(found(model, loss_of([tensor.data for tensor in pair_batch(rows, "float64")])), expected)


def tries(rng, B, T):
    mask = (rng.random((B, T)) < 0.6).astype(float)
    mask[:, -1] = 1
    ids, targets = rng.integers(1, 9, (2, B, T))
    numbers = -2 + 0.3 * rng.standard_normal((2, B, T)), rng.standard_normal((3, B, T))  # log p; values, A, returns
    return [ids, np.where(mask > 0, targets, IGNORED), mask, *numbers[0], *numbers[1]]


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "grpo"])
@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(2, 6), more, seeds)
def test_policies(algorithm, B, T, more, seed):
    rng = np.random.default_rng(seed)
    model, config = ActorCritic(gpt(0)), PPOConfig(algorithm=algorithm, entropy_coef=0.1)
    model.value.weight.data = rng.standard_normal((1, 8))
    arrays, order = tries(rng, B, T), rng.permutation(B)
    n = np.full(B, arrays[2].sum() / B)
    loss_of = lambda arrays: policy_loss(model, config, 0.2, *arrays, n)[0]
    expected = found(model, loss_of(arrays))
    padding = [7, IGNORED, *[0.0] * 6]
    assert_same(found(model, loss_of([wider(a, more, v) for a, v in zip(arrays, padding)])), expected)
    assert_same(found(model, loss_of([a[order] for a in arrays])), expected)
