"""Causal multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762): each position looks back, never ahead."""

import math

from ..autograd import op
from ..backend import array_module


def causal_attention_forward(qkv, keep=None, *, n_head, p=0.0):
    """P = softmax(q kᵀ / √D, masked where a key lies in the future)   y = P v, for each of H heads of size D = C/H

    qkv (B, T, 3C) holds q, k and v side by side, each with its H heads side by side. keep, with probability p of
    being False, drops attention weights (dropout).

    qkv (B, T, 3C)  keep (B, H, T, T) bool  ->  y (B, T, C)
    """
    xp = array_module(qkv)
    B, T, C = *qkv.shape[:2], qkv.shape[2] // 3
    if qkv.shape[2] != 3 * C:
        raise ValueError(f"attention: qkv {qkv.shape} must hold q, k and v side by side: (B, T, 3C)")
    if n_head < 1 or C % n_head:
        raise ValueError(f"attention: {C} channels are not divisible by n_head={n_head}")
    D = C // n_head
    # 1. split into q, k, v and into heads
    q, k, v = qkv.reshape(B, T, 3, n_head, D).transpose(2, 0, 3, 1, 4)  # each (B, H, T, D)
    # 2. scores: how well does query i match key j
    S = q @ k.swapaxes(-1, -2) / math.sqrt(D)  # (B, H, T, T)
    # 3. mask: −∞ where key j comes after query i
    future = xp.triu(xp.ones((T, T), bool), 1)
    S = xp.where(future, -math.inf, S)
    # 4. softmax over the keys: e^−∞ = 0, so the future has weight 0 exactly
    P = xp.exp(S - S.max(axis=-1, keepdims=True))
    P /= P.sum(axis=-1, keepdims=True)
    # 5. dropout of weights
    W = P if keep is None else P * keep / (1 - p)
    # 6. each query's weighted mean of the values
    heads = W @ v  # (B, H, T, D)
    # 7. heads side by side again
    y = heads.transpose(0, 2, 1, 3).reshape(B, T, C)
    return y, (q, k, v, P, keep, p)


def causal_attention_backward(dy, q, k, v, P, keep, p):
    """The steps of the forward, from the last to the first. Step 3 needs no line: dS = P · (…) is 0 where P is 0."""
    xp = array_module(dy)
    B, H, T, D = q.shape
    # 7. y = heads side by side
    dheads = dy.reshape(B, T, H, D).transpose(0, 2, 1, 3)  # (B, H, T, D)
    # 6. heads = W @ v
    W = P if keep is None else P * keep / (1 - p)
    dW = dheads @ v.swapaxes(-1, -2)  # (B, H, T, T)
    dv = W.swapaxes(-1, -2) @ dheads
    # 5. W = P · keep / (1 − p)
    dP = dW if keep is None else dW * keep / (1 - p)
    # 4. P = softmax(S)
    dS = P * (dP - (dP * P).sum(axis=-1, keepdims=True))
    # 2. S = q kᵀ / √D
    dS = dS / math.sqrt(D)
    dq = dS @ k
    dk = dS.swapaxes(-1, -2) @ q
    # 1. q, k, v were cut out of qkv
    dqkv = xp.stack([d.transpose(0, 2, 1, 3) for d in (dq, dk, dv)], axis=2).reshape(B, T, 3 * H * D)
    return dqkv, None


causal_attention = op(causal_attention_forward, causal_attention_backward, discrete=("keep",))
