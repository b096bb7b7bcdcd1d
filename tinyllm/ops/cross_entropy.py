"""The loss of a classifier, and of a language model: how surprised it is by the right answer."""

import math

from ..autograd import op
from ..backend import array_module, check_ids


def cross_entropy_forward(logits, targets, *, ignore_index=-100, reduction="mean"):
    """lossₙ = −log softmax(logitsₙ)[targetₙ] = log Σⱼ e^logitsₙⱼ − logitsₙ[targetₙ], 0 where the target is ignored

    reduction: "mean" over the targets that count (NaN if none does), "sum", or "none" for one loss a target.
    As in torch, the classes lie along axis 1, or along axis 0 of a single vector.

    logits (N, V)  targets (N,) integers  ->  loss ()
    """
    xp = array_module(logits)
    axis = 0 if logits.ndim == 1 else 1
    V = logits.shape[axis]
    if targets.shape != logits.shape[:axis] + logits.shape[axis + 1 :]:
        raise ValueError(f"cross_entropy: targets {targets.shape} do not fit logits {logits.shape}")
    rows = xp.moveaxis(logits, axis, -1).reshape(-1, V)  # (N, V): one row of scores a target
    counted = targets.reshape(-1) != ignore_index  # (N,)
    answers = xp.where(counted, targets.reshape(-1), 0)
    check_ids(answers, V, "target")

    shifted = rows - rows.max(axis=1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
    losses = xp.where(counted, -log_p[xp.arange(len(answers)), answers], 0)
    if reduction == "none":
        loss, n = losses.reshape(targets.shape), 1
    elif reduction == "sum":
        loss, n = losses.sum(), 1
    elif reduction == "mean":
        count = counted.sum().astype(logits.dtype)
        n = xp.maximum(count, 1)
        loss = xp.where(count > 0, losses.sum() / n, math.nan)
    else:
        raise ValueError(f"cross_entropy: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return loss, (log_p, answers, counted, n, logits.shape, axis)


def cross_entropy_backward(dy, log_p, answers, counted, n, logits_shape, axis):
    """dlogits = (softmax(logits) − onehot(target)) · dy / n: what the model said, minus what was right

    A score is pushed down by the probability it got, and the right one up by the probability it lacked.
    """
    xp = array_module(dy)
    error = xp.exp(log_p)  # (N, V)
    error[xp.arange(len(answers)), answers] -= 1
    share = xp.where(counted, dy.reshape(-1) / n, 0)  # (N,): an ignored target has none
    rows = error * share[:, None]
    batch = logits_shape[:axis] + logits_shape[axis + 1 :]
    dlogits = xp.moveaxis(rows.reshape(*batch, -1), -1, axis)
    return dlogits, None


cross_entropy = op(cross_entropy_forward, cross_entropy_backward, discrete=("targets",))
