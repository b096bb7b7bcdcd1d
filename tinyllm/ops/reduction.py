"""Many numbers in, one out: along an axis, several axes, or all (axis=None)."""

from math import prod

from ..autograd import op
from ..backend import array_module


def spread(dy, shape, axis):
    """dy, which a reduction over `axis` of an array of `shape` gave, repeated along `axis` again (a read-only view)."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    kept = [1 if i in {a % len(shape) for a in axes} else n for i, n in enumerate(shape)]
    return array_module(dy).broadcast_to(dy.reshape(kept), shape)


def sum_forward(x, *, axis=None, keepdims=False):
    """y = Σᵢ xᵢ

    x (..., N)  ->  y (...)
    """
    y = x.sum(axis=axis, keepdims=keepdims)
    return y, (x.shape, axis)


def sum_backward(dy, x_shape, axis):
    """dxᵢ = dy: every term gets the gradient of the sum."""
    dx = spread(dy, x_shape, axis)
    return dx


sum = op(sum_forward, sum_backward)


def mean_forward(x, *, axis=None, keepdims=False):
    """y = Σᵢ xᵢ / N

    x (..., N)  ->  y (...)
    """
    y = x.mean(axis=axis, keepdims=keepdims)
    return y, (x.shape, axis)


def mean_backward(dy, x_shape, axis):
    """dxᵢ = dy / N"""
    n = prod(x_shape) // dy.size
    dx = spread(dy / n, x_shape, axis)
    return dx


mean = op(mean_forward, mean_backward)


def var_forward(x, *, axis=None, keepdims=False, correction=1):
    """y = Σᵢ (xᵢ − mean x)² / (N − correction); correction 1 is the unbiased estimate, 0 the plain mean square

    x (..., N)  ->  y (...)
    """
    centred = x - x.mean(axis=axis, keepdims=True)
    squares = (centred * centred).sum(axis=axis, keepdims=keepdims)
    n = x.size // squares.size - correction
    y = squares / n
    return y, (centred, n, axis)


def var_backward(dy, centred, n, axis):
    """dxᵢ = 2 dy (xᵢ − mean x) / (N − correction)

    The path through the mean adds nothing: it is multiplied by Σᵢ (xᵢ − mean x), which is 0.
    """
    dx = 2 * spread(dy, centred.shape, axis) * centred / n
    return dx


var = op(var_forward, var_backward)


def max_forward(x, *, axis=None, keepdims=False):
    """y = maxᵢ xᵢ

    x (..., N)  ->  y (...)
    """
    y = x.max(axis=axis, keepdims=keepdims)
    return y, (x, y, axis)


def max_backward(dy, x, y, axis):
    """dxᵢ = dy where xᵢ is the largest, else 0; k equal largest ones get dy / k each (as torch.amax)."""
    largest = x == spread(y, x.shape, axis)
    k = largest.sum(axis=axis, keepdims=True, dtype=x.dtype)
    dx = spread(dy, x.shape, axis) * largest / k
    return dx


max = op(max_forward, max_backward)
