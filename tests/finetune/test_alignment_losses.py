"""The losses of pairs and of policies: through a whole model equal to torch's, value and every gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.finetuning as theirs_
from tests.models.test_gpt_equals_torch import both, random_weights
from tests.op_checks import assert_close as assert_close_named
from tinyllm import GPTConfig, Tensor, nn
from tinyllm.finetune.advantages import adapted_coefficient, gae, in_groups, leave_one_out
from tinyllm.finetune.log_probs import answer_log_probs, token_log_probs
from tinyllm.finetune.policy_losses import (
    clipped_policy_loss,
    clipped_value_loss,
    entropy,
    grpo_loss,
    reinforce_loss,
    whiten,
)
from tinyllm.finetune.preference_losses import bradley_terry_loss, dpo_loss

BOUND = 1e-10
CONFIG = GPTConfig(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=8)
seeds = st.integers(0, 2**32 - 1)


def assert_close(ours, theirs, bound):
    assert_close_named("", ours, theirs, bound)


def same_gradients(ours, theirs):
    for name, parameter in theirs.named_parameters():
        assert_close_named(name, dict(ours.named_parameters())[name].grad, parameter.grad.numpy(), BOUND)


def answers(rng, B=3, T=5):
    """ids and targets of which some tokens are the answer, one at least."""
    ids, targets = rng.integers(0, 7, (2, B, T))
    targets[rng.random((B, T)) < 0.5] = -100
    targets[:, -1] = rng.integers(0, 7, B)
    return ids, targets


def t(*arrays):
    return tuple(torch.from_numpy(np.asarray(array)) for array in arrays)


@settings(max_examples=15)
@given(seeds, st.floats(0.01, 3))
def test_dpo(seed, beta):
    rng = np.random.default_rng(seed)
    weights = random_weights(CONFIG, rng)
    ours, theirs = both(CONFIG, weights)
    ours_ref, theirs_ref = both(CONFIG, random_weights(CONFIG, rng))
    chosen, rejected, tie = answers(rng), answers(rng, T=6), rng.random(3) < 0.3
    given_ = [answer_log_probs(ours_ref, *pair).data for pair in (chosen, rejected)]
    both_answers = answer_log_probs(ours, *chosen), answer_log_probs(ours, *rejected)
    loss, r_chosen, r_rejected = dpo_loss(*both_answers, *given_, tie, beta)
    loss.backward()
    expected = theirs_.dpo_loss(theirs, theirs_ref, t(*chosen), t(*rejected), torch.from_numpy(tie), beta)
    expected.backward()
    assert_close(loss.data, expected.detach().numpy(), BOUND)
    assert_close(r_chosen.data, beta * (both_answers[0].data - given_[0]), BOUND)
    assert_close(r_rejected.data, beta * (both_answers[1].data - given_[1]), BOUND)
    same_gradients(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_loss_of_dpo_is_ln_2_exactly(dtype):
    rng = np.random.default_rng(0)
    policy = both(CONFIG, random_weights(CONFIG, rng), dtype)[0]
    log_p = [answer_log_probs(policy, *answers(rng)) for _ in range(2)]
    loss, *_ = dpo_loss(*log_p, *(x.data for x in log_p), np.array([False, True, False]))
    assert loss.item() == np.dtype(dtype).type(math.log(2))


@settings(max_examples=15)
@given(seeds)
def test_bradley_terry(seed):
    rng = np.random.default_rng(seed)
    r, margin, tie = 3 * rng.standard_normal((2, 6)), rng.random(6), rng.random(6) < 0.4
    ours, theirs = [Tensor(x, requires_grad=True) for x in r], [torch.tensor(x, requires_grad=True) for x in r]
    loss = bradley_terry_loss(*ours, margin, tie)
    loss.backward()
    expected = theirs_.bradley_terry_loss(*theirs, *t(margin, tie))
    expected.backward()
    assert_close(loss.data, expected.detach().numpy(), BOUND)
    for mine, torchs in zip(ours, theirs):
        assert_close(mine.grad, torchs.grad.numpy(), BOUND)


def rollout(rng, B=3, T=5):
    mask = (rng.random((B, T)) < 0.6).astype(float)
    mask[:, -1] = 1
    ids, targets = rng.integers(0, 7, (2, B, T))
    numbers = {name: rng.standard_normal((B, T)) for name in ("advantages", "returns", "old_values")}
    numbers |= {name: -2 + 0.4 * rng.standard_normal((B, T)) for name in ("old_log_p", "reference_log_p")}
    return {"ids": ids, "targets": targets, "mask": mask, **numbers}


@settings(max_examples=15)
@given(seeds, st.sampled_from([0.1, 0.2, 1.0]))
def test_ppo_on_a_fixed_rollout(seed, clip):
    """One model with two heads: the policy loss, the value loss, the entropy, and the gradient of their sum."""
    rng = np.random.default_rng(seed)
    ours, theirs = both(CONFIG, random_weights(CONFIG, rng))
    head = rng.standard_normal(8)
    mine, torchs = nn.Parameter(head), torch.tensor(head, requires_grad=True)
    batch = rollout(rng)
    x = ours.hidden(batch["ids"])
    logits, values = ours.lm_head(x), (x * mine).sum(axis=-1)
    log_p = token_log_probs(logits, Tensor(batch["targets"]))
    terms = (clipped_policy_loss(log_p, batch["old_log_p"], batch["advantages"], batch["mask"], clip),
             clipped_value_loss(values, batch["old_values"], batch["returns"], batch["mask"], clip),
             entropy(logits, batch["mask"]))  # fmt: skip
    (terms[0] + 0.1 * terms[1] - 0.01 * terms[2]).backward()
    seen = []
    theirs.ln_f.register_forward_hook(lambda module, inputs, output: seen.append(output))
    torch_logits = theirs(torch.from_numpy(batch["ids"]))
    torch_batch = {name: torch.from_numpy(array) for name, array in batch.items()}
    expected = theirs_.ppo_terms(torch_logits, (seen[0] * torchs).sum(-1), torch_batch, clip)
    (expected[0] + 0.1 * expected[1] - 0.01 * expected[2]).backward()
    for term, theirs_term in zip(terms, expected):
        assert_close(term.data, theirs_term.detach().numpy(), BOUND)
    assert_close(mine.grad, torchs.grad.numpy(), BOUND)
    same_gradients(ours, theirs)


@settings(max_examples=15)
@given(seeds)
def test_reinforce_and_grpo_on_a_fixed_rollout(seed):
    rng = np.random.default_rng(seed)
    batch = rollout(rng)
    fixed = [batch[name] for name in ("old_log_p", "reference_log_p", "advantages", "mask")]
    start = -2 + rng.standard_normal((3, 5))
    for ours_of, theirs_of in (
        (lambda x: grpo_loss(x, *fixed, 0.2, 0.04), lambda x: theirs_.grpo_loss(x, *t(*fixed), 0.2, 0.04)),
        (lambda x: reinforce_loss(x, *fixed[2:]), lambda x: theirs_.reinforce_loss(x, *t(*fixed[2:]))),
    ):
        ours, theirs = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
        loss, expected = ours_of(ours), theirs_of(theirs)
        loss.backward(), expected.backward()
        assert_close(loss.data, expected.detach().numpy(), BOUND)
        assert_close(ours.grad, theirs.grad.numpy(), BOUND)


@given(seeds, st.integers(1, 4), st.integers(1, 7), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_its_definition(seed, B, T, gamma, lam):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, T + 1, B)
    there = np.arange(T) < lengths[:, None]
    r, V = rng.standard_normal((2, B, T)) * there
    A, R = gae(r, V, gamma, lam)
    after = np.concatenate([V[:, 1:], np.zeros((B, 1))], axis=1)
    for b in range(B):
        for start in range(T):
            later = range(start, lengths[b])
            total = sum((gamma * lam) ** (k - start) * (r[b, k] + gamma * after[b, k] - V[b, k]) for k in later)
            assert A[b, start] == pytest.approx(total, abs=1e-12)
    assert np.allclose(R, A + V)


def test_gae_at_its_ends():
    r, V = np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 1.5, 2.5]])
    assert np.allclose(gae(r, V, 1.0, 1.0)[1], [[7, 6, 4]]), "λ = 1: the rewards that are still to come"
    assert np.allclose(gae(r, V, 1.0, 0.0)[0], [[1 + 1.5 - 0.5, 2 + 2.5 - 1.5, 4 - 2.5]])


@given(seeds, st.integers(2, 9))
def test_baselines(seed, n):
    rewards = 3 * np.random.default_rng(seed).standard_normal(2 * n)
    for i, advantage in enumerate(leave_one_out(rewards)):
        assert advantage == pytest.approx(rewards[i] - np.delete(rewards, i).mean(), abs=1e-12)
    for group, found in zip(rewards.reshape(2, n), in_groups(rewards, n).reshape(2, n)):
        np.testing.assert_allclose(found, (group - group.mean()) / (group.std() + 1e-4), rtol=1e-12)
    assert np.array_equal(in_groups(np.ones(n), n), np.zeros(n))


def test_whitening_counts_what_the_mask_counts():
    x, mask = np.array([[1.0, 2.0, 99.0], [6.0, 99.0, 99.0]]), np.array([[1.0, 1, 0], [1, 0, 0]])
    white = whiten(x, mask)
    counted = np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(white[mask > 0], (counted - 3) / (counted.std() + 1e-8), rtol=1e-12)
    assert (white[mask == 0] == 0).all() and (whiten(np.ones((2, 3)), mask) == 0).all()


def test_the_kl_coefficient_is_adapted_within_a_fifth():
    assert adapted_coefficient(0.1, kl=6, target=6, n=100) == pytest.approx(0.1)
    assert adapted_coefficient(0.1, kl=600, target=6, n=100) == pytest.approx(0.1 * 1.02)
    assert adapted_coefficient(0.1, kl=0, target=6, n=100) == pytest.approx(0.1 * 0.98)
    assert adapted_coefficient(0.1, kl=6.6, target=6, n=1000) == pytest.approx(0.11)
