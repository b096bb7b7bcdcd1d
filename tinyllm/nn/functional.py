"""The ops under the names, argument orders and layouts of torch.nn.functional."""

from .. import ops
from ..ops import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    embedding,
    gelu,
    mse_loss,
    relu,
    sigmoid,
    tanh,
)
from .dropout import draw

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def linear(x, weight, bias=None):
    """y = x weightᵀ + bias; torch keeps a weight as (O, I), `ops.linear` as (I, O)

    x (..., I)  weight (O, I)  bias (O,)  ->  y (..., O)
    """
    return ops.linear(x, ops.transpose(weight), bias)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Over the last axis; normalized_shape is its length, as a number or a tuple of one."""
    expected = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if x.shape[-1:] != expected:
        raise ValueError(f"layer_norm: normalized_shape {normalized_shape} must be the last axis of {x.shape}")
    return ops.layer_norm(x, weight, bias, eps=eps)


def softmax(x, dim):
    return ops.softmax(x, axis=dim)


def log_softmax(x, dim):
    return ops.log_softmax(x, axis=dim)


def dropout(x, p=0.5, training=True):
    """y = x · keep / (1 − p) in training, each element kept with probability 1 − p; else y = x"""
    if not 0 <= p < 1:
        raise ValueError(f"dropout must be a probability from 0 to below 1, not {p}")
    if not training or p == 0:
        return x
    return ops.dropout(x, draw(x.shape, p, x, ops.dropout), p=p)
