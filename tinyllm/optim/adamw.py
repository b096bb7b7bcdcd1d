"""AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101): each parameter takes steps of its own size."""

import math

from ..backend import array_module
from .optimizer import Optimizer


def adamw(param, grad, m, v, step, *, lr, betas, eps, weight_decay):
    """m ← β₁ m + (1 − β₁) g    the mean of the last gradients: which way
    v ← β₂ v + (1 − β₂) g²      the mean of their squares: how large they usually are
    param ← param − lr · λ · param − lr · m̂ / (√v̂ + ε)

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) make up for m and v having started at 0; t = step, the first is 1.
    The decay λ is scaled by the rate and not by v: that is the W.

    param (...)  grad (...)  m (...)  v (...)  ->  param (...)  m (...)  v (...)
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * (grad * grad)
    m_hat_scale = 1 / (1 - beta1**step)
    v_hat_root = array_module(v).sqrt(v) / math.sqrt(1 - beta2**step)
    param = param * (1 - lr * weight_decay) - (lr * m_hat_scale) * m / (v_hat_root + eps)
    return param, m, v


class AdamW(Optimizer):
    """lr: the step size; betas: how much of the past m and v keep; eps keeps the division finite; weight_decay λ."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def initial_state(self, param):
        zeros = array_module(param).zeros_like
        return {"step": 0, "m": zeros(param), "v": zeros(param)}

    def update(self, param, grad, state, **options):
        state["step"] += 1
        param, state["m"], state["v"] = adamw(param, grad, state["m"], state["v"], state["step"], **options)
        return param
