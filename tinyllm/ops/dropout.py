"""Dropout (Srivastava et al. 2014)."""

from ..autograd import op


def dropout_forward(x, keep, *, p=0.5):
    """y = x · keep / (1 − p): elements are dropped with probability p, the rest scaled so that the mean stays

    x (...)  keep (...) bool  ->  y (...)
    """
    y = x * keep / (1 - p)
    return y, (keep, p)


def dropout_backward(dy, keep, p):
    """dx = dy · keep / (1 − p): what was dropped had no part in the loss."""
    dx = dy * keep / (1 - p)
    return dx, None


dropout = op(dropout_forward, dropout_backward, discrete=("keep",))
