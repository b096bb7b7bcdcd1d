"""Scores to probabilities."""

from ..autograd import op
from ..backend import array_module


def softmax_forward(x, *, axis=-1):
    """pᵢ = e^xᵢ / Σⱼ e^xⱼ; the largest x is taken off first, which changes nothing but overflows nowhere

    x (..., N)  ->  p (..., N)
    """
    e = array_module(x).exp(x - x.max(axis=axis, keepdims=True))
    p = e / e.sum(axis=axis, keepdims=True)
    return p, (p, axis)


def softmax_backward(dy, p, axis):
    """dxᵢ = pᵢ (dyᵢ − Σⱼ dyⱼ pⱼ)

    Raising one score lowers every other probability: that is the sum. It makes the dxᵢ add up to 0.
    """
    dx = p * (dy - (dy * p).sum(axis=axis, keepdims=True))
    return dx


softmax = op(softmax_forward, softmax_backward)


def log_softmax_forward(x, *, axis=-1):
    """log pᵢ = xᵢ − log Σⱼ e^xⱼ

    x (..., N)  ->  log_p (..., N)
    """
    shifted = x - x.max(axis=axis, keepdims=True)
    xp = array_module(x)
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))
    return log_p, (log_p, axis)


def log_softmax_backward(dy, log_p, axis):
    """dxᵢ = dyᵢ − pᵢ Σⱼ dyⱼ"""
    p = array_module(dy).exp(log_p)
    dx = dy - p * dy.sum(axis=axis, keepdims=True)
    return dx


log_softmax = op(log_softmax_forward, log_softmax_backward)
