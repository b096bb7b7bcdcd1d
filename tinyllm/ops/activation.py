"""The activations that are one formula: sigmoid, tanh, ReLU."""

from ..autograd import op
from ..backend import array_module


def sigmoid_forward(x):
    """y = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ), whichever of the two cannot overflow

    x (...)  ->  y (...)
    """
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    y = xp.where(x >= 0, 1, e) / (1 + e)
    return y, (y,)


def sigmoid_backward(dy, y):
    """dx = dy · y (1 − y)"""
    dx = dy * y * (1 - y)
    return dx


sigmoid = op(sigmoid_forward, sigmoid_backward)


def tanh_forward(x):
    """y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)

    x (...)  ->  y (...)
    """
    y = array_module(x).tanh(x)
    return y, (y,)


def tanh_backward(dy, y):
    """dx = dy (1 − y²)"""
    dx = dy * (1 - y * y)
    return dx


tanh = op(tanh_forward, tanh_backward)


def relu_forward(x):
    """y = max(x, 0)

    x (...)  ->  y (...)
    """
    y = array_module(x).maximum(x, 0)
    return y, (y,)


def relu_backward(dy, y):
    """dx = dy where y > 0, else 0: a unit that is off learns nothing."""
    dx = dy * (y > 0)
    return dx


relu = op(relu_forward, relu_backward)
