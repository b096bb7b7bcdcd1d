"""A policy that learns from its own answers, and what it is told of them."""

from dataclasses import dataclass

import numpy as np

from .. import nn
from ..backend import array_module, backend_of, to, to_numpy
from ..methods import Tensor
from .advantages import gae, in_groups, leave_one_out
from .examples import IGNORED, collate, share_of
from .log_probs import token_log_probs
from .policy_losses import clipped_policy_loss, clipped_value_loss, entropy, grpo_loss, reinforce_loss, whiten
from .rollout import as_example

ALGORITHMS = ("ppo", "reinforce", "grpo")


class ActorCritic(nn.Module):
    """A GPT, and a value head on what its output layer reads: how much reward is to be expected from here.

    ids (B, T) integers  ->  logits (B, T, V)  values (B, T)
    """

    def __init__(self, policy):
        self.policy = policy
        self.value = nn.Linear(policy.config.n_embd, 1)
        for parameter in self.value.parameters():
            parameter.data = np.zeros_like(parameter.data)  # at first it expects nothing
        self.value.to(policy.wte.weight.dtype).to(backend_of(policy.wte.weight.data))

    @property
    def config(self):
        return self.policy.config

    def forward(self, ids):
        x = self.policy.hidden(ids)
        return self.policy.lm_head(x), self.value(x)[:, :, 0]


@dataclass(frozen=True)
class Tries:
    """Answers, and what was thought of them when they were given. All arrays are (B, T) but where it is said."""

    ids: np.ndarray
    targets: np.ndarray  # IGNORED outside of the answers
    mask: np.ndarray
    log_p: np.ndarray
    reference_log_p: np.ndarray
    values: np.ndarray
    scores: np.ndarray  # (B,)

    @classmethod
    def of(cls, model, reference, prompts, answers, scores, at_once=16):
        """What the model and the reference think of answers with these scores; at_once: rows computed together."""
        ids, targets, _ = collate([as_example(*row) for row in zip(prompts, answers)])
        parts = [slice(first, first + at_once) for first in range(0, len(ids), at_once)]
        found = [thoughts(model, reference, ids[rows], targets[rows]) for rows in parts]
        log_p, reference_log_p, values = map(np.concatenate, zip(*found))
        mask = (targets != IGNORED).astype(log_p.dtype)
        return cls(ids, targets, mask, log_p, reference_log_p, values * mask, np.asarray(scores, float))

    @property
    def kl(self):
        """(B,) log π(answer) − log π_ref(answer); its mean over many answers is the KL divergence, in nats an answer"""
        return (self.log_p - self.reference_log_p).sum(axis=1)

    def advantages(self, config, kl_coef):
        """How much better each token was than expected, and the returns that the value head learns, both (B, T)."""
        if config.algorithm == "ppo":
            rewards = -kl_coef * (self.log_p - self.reference_log_p)
            last = self.mask.shape[1] - 1 - self.mask[:, ::-1].argmax(axis=1)
            rewards[np.arange(len(last)), last] += self.scores
            A, returns = gae(rewards, self.values, config.gamma, config.lam)
            return whiten(A, self.mask), returns
        if config.algorithm == "reinforce":
            whole = leave_one_out(self.scores - kl_coef * self.kl)
        else:
            whole = in_groups(self.scores, config.group_size)
        return (whole[:, None] * self.mask).astype(self.mask.dtype), self.mask


def thoughts(model, reference, ids, targets):
    """log p of the targets to an ActorCritic and to its reference, and the values, (B, T) each and on the host."""
    there = to(targets, backend_of(model.value.weight.data))
    with model.evaluating(), reference.evaluating():
        logits, values = model(ids)
        log_p, reference_log_p = token_log_probs(logits, there), token_log_probs(reference(ids), there)
    return [to_numpy(x.data) for x in (log_p, reference_log_p, values)]


def policy_loss(model, config, kl_coef, ids, targets, mask, old_log_p, reference_log_p, old_values, A, returns, n):
    """The loss of some rows of Tries, and {name: number} of its terms.

    n (B,): as of `share_of`.
    """
    logits, values = model(ids)
    log_p = token_log_probs(logits, Tensor(targets))
    xp, count, change = array_module(mask), float(mask.sum()), log_p.data - old_log_p
    share = share_of(count, n)
    said = {"entropy": entropy(logits.detach(), mask).item()}
    said["approx_kl"] = float(((xp.exp(change) - 1 - change) * mask).sum()) / count
    said["clip_fraction"] = float(((abs(xp.exp(change) - 1) > config.clip) * mask).sum()) / count
    if config.algorithm == "reinforce":
        loss = reinforce_loss(log_p, A, mask) * share
        return loss, said | {"policy_loss": loss.item()}
    if config.algorithm == "grpo":
        loss = grpo_loss(log_p, old_log_p, reference_log_p, A, mask, config.clip, kl_coef)
        return loss, said | {"policy_loss": loss.item()}
    policy = clipped_policy_loss(log_p, old_log_p, A, mask, config.clip)
    value = clipped_value_loss(values, old_values, returns, mask, config.value_clip)
    loss = policy + config.value_coef * value
    if config.entropy_coef:
        loss = loss - config.entropy_coef * entropy(logits, mask)
    return loss * share, said | {"policy_loss": policy.item(), "value_loss": value.item()}
