"""Layer normalisation (Ba, Kiros & Hinton 2016, arXiv:1607.06450)."""

from ..autograd import op
from ..backend import array_module


def layer_norm_forward(x, weight=None, bias=None, *, eps=1e-5):
    """μ = mean(x)   σ² = mean((x − μ)²)   x̂ = (x − μ)/√(σ² + ε)   y = x̂ · weight + bias

    x (..., C)  weight (C,)  bias (C,)  ->  y (..., C)
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)  # (..., 1)
    rstd = 1 / array_module(x).sqrt(variance + eps)
    x_hat = centred * rstd
    y = x_hat
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y, (x_hat, rstd, weight)


def layer_norm_backward(dy, x_hat, rstd, weight, needs=(True, True, True)):
    """dx = (dx̂ − mean(dx̂) − x̂ · mean(dx̂ · x̂)) / √(σ² + ε)   with dx̂ = dy · weight
    dweight = Σ dy · x̂   dbias = Σ dy, over every vector of the batch

    x̂ depends on its whole vector through μ and σ: that is where the two means come from.
    """
    batch = tuple(range(dy.ndim - 1))  # every axis but the last
    dx = dweight = dbias = None
    if needs[0]:
        dx_hat = dy if weight is None else dy * weight
        mean_dx_hat = dx_hat.mean(axis=-1, keepdims=True)  # (..., 1)
        mean_dx_hat_x_hat = (dx_hat * x_hat).mean(axis=-1, keepdims=True)
        dx = (dx_hat - mean_dx_hat - x_hat * mean_dx_hat_x_hat) * rstd
    if needs[1]:
        dweight = (dy * x_hat).sum(axis=batch)
    if needs[2]:
        dbias = dy.sum(axis=batch)
    return dx, dweight, dbias


layer_norm = op(layer_norm_forward, layer_norm_backward)
