"""The losses of two classes and of numbers. All take reduction="mean", "sum" or "none", as torch's do."""

from ..autograd import op
from ..backend import array_module, check_range


def reduce(losses, reduction):
    """The losses of the elements made one number, and n: each element counts for 1/n of it."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if reduction == "none":
        return losses, 1
    n = losses.size if reduction == "mean" else 1
    return losses.sum() / n, n


def same_shape(x, target):
    if x.shape != target.shape:
        raise ValueError(f"the target's shape {target.shape} differs from the input's {x.shape}; "
                         "reshape one of them, for they would be broadcast into a different loss")


def mse_loss_forward(x, target, *, reduction="mean"):
    """loss = mean((x − target)²)

    x (N, M)  target (N, M)  ->  loss ()
    """
    same_shape(x, target)
    difference = x - target
    loss, n = reduce(difference * difference, reduction)
    return loss, (difference, n)


def mse_loss_backward(dy, difference, n):
    """dx = 2 (x − target) dy / n   dtarget = −dx"""
    dx = 2 * difference * dy / n
    dtarget = -dx
    return dx, dtarget


mse_loss = op(mse_loss_forward, mse_loss_backward)


def binary_cross_entropy_forward(p, target, *, reduction="mean"):
    """loss = −mean(target · log p + (1 − target) · log(1 − p)), each logarithm at least −100, as in torch

    p, the predicted probability of class 1, lies within 0 … 1.

    p (N, M)  target (N, M)  ->  loss ()
    """
    xp = array_module(p)
    same_shape(p, target)
    check_range(p, 0, 1, "probability")
    tiny = xp.finfo(p.dtype).smallest_subnormal  # log 0 would warn before it is cut off
    log_p = xp.maximum(xp.log(xp.maximum(p, tiny)), -100)
    log_not_p = xp.maximum(xp.log(xp.maximum(1 - p, tiny)), -100)
    loss, n = reduce(-(target * log_p + (1 - target) * log_not_p), reduction)
    return loss, (p, target, log_p, log_not_p, n)


def binary_cross_entropy_backward(dy, p, target, log_p, log_not_p, n):
    """dp = (p − target) / (p (1 − p)) · dy / n, the divisor at least 1e-12   dtarget = (log(1 − p) − log p) · dy / n"""
    dp = (p - target) / array_module(p).maximum(p * (1 - p), 1e-12) * dy / n
    dtarget = (log_not_p - log_p) * dy / n
    return dp, dtarget


binary_cross_entropy = op(binary_cross_entropy_forward, binary_cross_entropy_backward)


def binary_cross_entropy_with_logits_forward(x, target, *, reduction="mean"):
    """The binary cross-entropy of p = sigmoid(x), from the logit: loss = mean(max(x, 0) − x · target + log(1 + e^−|x|))

    x (N, M)  target (N, M)  ->  loss ()
    """
    xp = array_module(x)
    same_shape(x, target)
    e = xp.exp(-xp.abs(x))
    loss, n = reduce(xp.maximum(x, 0) - x * target + xp.log1p(e), reduction)
    return loss, (x, target, e, n)


def binary_cross_entropy_with_logits_backward(dy, x, target, e, n):
    """dx = (sigmoid(x) − target) · dy / n: the slope of the sigmoid cancels, so a confident mistake still learns
    dtarget = −x · dy / n
    """
    p = array_module(x).where(x >= 0, 1, e) / (1 + e)
    dx = (p - target) * dy / n
    dtarget = -x * dy / n
    return dx, dtarget


binary_cross_entropy_with_logits = op(
    binary_cross_entropy_with_logits_forward, binary_cross_entropy_with_logits_backward
)
