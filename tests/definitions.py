"""The definition of every op that is made of others: the formula, in primitives, differentiated by the chain rule.

Here nobody derived a gradient by hand. Where an op's own backward differs from this, the op is wrong.
"""

import math

import numpy as np

from tinyllm import ops
from tinyllm.tensor import Tensor


def constant(array, like):
    """An array as a tensor of like's dtype, without a gradient."""
    return Tensor(np.asarray(array).astype(like.dtype))


def subtract(a, b):
    return a + ops.negative(b)


def divide(a, b):
    return a * b**-1.0


def sqrt(x):
    return x**0.5


def relu(x):
    return ops.where(x.data > 0, x, 0.0)


def clip(x, *, min, max):
    x = x if min is None else ops.where(x.data < min, constant(np.full(x.shape, min), x), x)
    return x if max is None else ops.where(x.data > max, constant(np.full(x.shape, max), x), x)


def sigmoid(x):
    return 1 / (1 + ops.exp(-x))


def tanh(x):
    return (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def mean(x, *, axis, keepdims):
    total = ops.sum(x, axis=axis, keepdims=keepdims)
    return total / (x.data.size / total.data.size)


def var(x, *, axis, keepdims, correction):
    centre = mean(x, axis=axis, keepdims=True)
    squares = ops.sum((x - centre) * (x - centre), axis=axis, keepdims=keepdims)
    return squares / (x.data.size / squares.data.size - correction)


def broadcast_to(x, *, shape):
    return x + constant(np.zeros(shape), x)


def linear(x, weight, bias):
    y = x @ weight
    return y if bias is None else y + bias


def embedding(ids, weight):
    onehot = np.asarray(ids.data)[..., None] == np.arange(weight.shape[0])
    return constant(onehot, weight) @ weight


def softmax(x, *, axis):
    e = ops.exp(x)
    return e / ops.sum(e, axis=axis, keepdims=True)


def log_softmax(x, *, axis):
    return ops.log(softmax(x, axis=axis))


def layer_norm(x, weight, bias, *, eps):
    centred = x - mean(x, axis=-1, keepdims=True)
    x_hat = centred / sqrt(mean(centred * centred, axis=-1, keepdims=True) + eps)
    y = x_hat if weight is None else x_hat * weight
    return y if bias is None else y + bias


def dropout(x, keep, *, p):
    return x * constant(keep.data, x) / (1 - p)


def causal_attention(qkv, keep, *, n_head, p):
    T, C = qkv.shape[1], qkv.shape[2] // 3
    D = C // n_head
    outputs = []
    for h in range(n_head):  # one head after the other, one query after the other, over the keys it may see
        q, k, v = (qkv[:, :, i * C + h * D : i * C + (h + 1) * D] for i in range(3))  # (B, T, D)
        rows = []
        for t in range(T):
            scores = ops.sum(q[:, t : t + 1] * k[:, : t + 1], axis=-1) / math.sqrt(D)  # (B, t + 1)
            weights = softmax(scores, axis=-1)
            if keep is not None:
                weights = dropout(weights, Tensor(keep.data[:, h, t, : t + 1]), p=p)
            rows.append(ops.sum(weights[:, :, None] * v[:, : t + 1], axis=1))  # (B, D)
        outputs.append(ops.stack(rows, axis=1))
    return ops.cat(outputs, axis=-1)


def _reduce(losses, reduction):
    if reduction == "none":
        return losses
    total = ops.sum(losses)
    return total / losses.data.size if reduction == "mean" else total


def cross_entropy(logits, targets, *, reduction, ignore_index):
    axis = 0 if logits.ndim == 1 else 1
    classes = np.arange(logits.shape[axis]).reshape(-1, *(1,) * (logits.ndim - axis - 1))
    onehot = np.expand_dims(targets.data, axis) == classes  # nowhere true for an ignored target unless it is a class
    onehot &= np.expand_dims(targets.data != ignore_index, axis)
    losses = -ops.sum(log_softmax(logits, axis=axis) * constant(onehot, logits), axis=axis)
    if reduction == "mean":
        return ops.sum(losses) / float((targets.data != ignore_index).sum())
    return _reduce(losses, reduction)


def mse_loss(x, target, *, reduction):
    return _reduce((x - target) ** 2.0, reduction)


def linear_cross_entropy(x, weight, targets, *, ignore_index):
    return cross_entropy(x @ ops.transpose(weight), targets, reduction="mean", ignore_index=ignore_index)


def binary_cross_entropy(p, target, *, reduction):
    return _reduce(-(target * ops.log(p) + (1 - target) * ops.log(1 - p)), reduction)


def binary_cross_entropy_with_logits(x, target, *, reduction):
    return binary_cross_entropy(sigmoid(x), target, reduction=reduction)


# the ops that everything else is made of; they have numeric derivatives and torch above them
PRIMITIVES = {
    "add", "multiply", "negative", "power", "exp", "log", "abs", "maximum", "where", "sum", "max", "matmul",
    "reshape", "transpose", "permute", "getitem", "cat", "stack", "gelu_erf",
}  # fmt: skip
