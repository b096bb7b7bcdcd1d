"""The output layer of a language model and its loss in one: the scores are on their way to a single number."""

import math

from ..autograd import op
from ..backend import array_module, check_ids


def linear_cross_entropy_forward(x, weight, targets, *, ignore_index=-100):
    """logits = x @ weightᵀ   loss = mean over n of (log Σⱼ e^logitsₙⱼ − logitsₙ[targetₙ]), ignored targets left out

    NaN if every target is ignored, as cross_entropy.

    x (N, C)  weight (V, C)  targets (N,) integers  ->  loss ()
    """
    xp = array_module(x)
    if targets.shape != x.shape[:1]:
        raise ValueError(f"linear_cross_entropy: targets {targets.shape} do not fit x {x.shape}")
    counted = targets != ignore_index  # (N,)
    answers = xp.where(counted, targets, 0)
    check_ids(answers, weight.shape[0], "target")
    logits = x @ weight.T  # (N, V)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
    count = counted.sum().astype(x.dtype)
    n = xp.maximum(count, 1)
    losses = xp.where(counted, -log_p[xp.arange(len(answers)), answers], 0)
    loss = xp.where(count > 0, losses.sum() / n, math.nan)
    return loss, (x, weight, log_p, answers, counted, n)


def linear_cross_entropy_backward(dy, x, weight, log_p, answers, counted, n, needs=(True, True, True)):
    """dlogits = (softmax(logits) − onehot(target)) · dy / n   dx = dlogits @ weight   dweight = dlogitsᵀ @ x

    The row of a word is pulled towards every x that it would have been right for, and pushed away from the others.
    """
    xp = array_module(dy)
    dlogits = xp.exp(log_p)  # (N, V)
    dlogits[xp.arange(len(answers)), answers] -= 1
    dlogits *= xp.where(counted, dy / n, 0)[:, None]
    dx = dlogits @ weight if needs[0] else None
    dweight = dlogits.T @ x if needs[1] else None
    return dx, dweight, None


linear_cross_entropy = op(linear_cross_entropy_forward, linear_cross_entropy_backward, discrete=("targets",))
