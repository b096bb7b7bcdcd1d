"""How much better than expected was a token, an answer?"""

import numpy as np


def gae(rewards, values, gamma=1.0, lam=0.95):
    """δₜ = rₜ + γ Vₜ₊₁ − Vₜ   Aₜ = δₜ + γλ δₜ₊₁ + (γλ)² δₜ₊₂ + …   returns = A + V

    After the last token there is nothing: V and A are 0 there, as are r and V of rows that end before. λ = 1 is the
    reward that came minus V, λ = 0 only looks one token ahead (Schulman et al. 2016, arXiv:1506.02438).

    rewards (B, T)  values (B, T)  ->  advantages (B, T)  returns (B, T)
    """
    advantages, later, value = np.zeros_like(rewards), 0, 0
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * value - values[:, t]
        later = advantages[:, t] = delta + gamma * lam * later
        value = values[:, t]
    return advantages, advantages + values


def leave_one_out(rewards):
    """Each reward minus the mean of the others: a baseline that does not depend on what it is taken from.

    rewards (B,)  ->  advantages (B,)
    """
    n = len(rewards)
    return (rewards - rewards.mean()) * (n / (n - 1))


def in_groups(rewards, size):
    """Each reward minus the mean of its group, in units of the group's standard deviation; 0 where all are equal.

    rewards (B,), groups of `size` one after the other  ->  advantages (B,)
    """
    groups = rewards.reshape(-1, size)
    spread = groups.std(axis=1, keepdims=True)
    return ((groups - groups.mean(axis=1, keepdims=True)) / (spread + 1e-4)).reshape(-1)


def adapted_coefficient(beta, kl, target, n, horizon=1000):
    """β after n answers that were `kl` nats from the reference: larger where that is above the target, else smaller.

    Ziegler et al. 2019 (arXiv:1909.08593).
    """
    return beta * (1 + max(-0.2, min(0.2, kl / target - 1)) * n / horizon)
