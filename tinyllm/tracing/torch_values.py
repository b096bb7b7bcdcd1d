"""torch's gradients of one op on the same numbers. torch is loaded here alone, and only where it is installed."""

import importlib.util

import numpy as np


def installed():
    return importlib.util.find_spec("torch") is not None


def gradients(name, inputs, options, dy):
    """torch's gradient of each input (None where there is none); None if torch has no such op here.

    inputs: arrays, or None where one was left out; dy: the gradient of the loss by the op's output.
    """
    import torch

    function = functions(torch).get(name)
    if function is None:
        return None
    tensors = [None if x is None else torch.tensor(np.asarray(x)) for x in inputs]
    for tensor in tensors:
        if tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_()
    y = function(*tensors, **options)
    y.backward(torch.tensor(np.asarray(dy)).reshape(y.shape))
    return [None if t is None or t.grad is None else t.grad.numpy() for t in tensors]


def functions(torch):
    """{op: the same function in torch, with our options}."""
    F = torch.nn.functional

    def axes(x, axis):
        return tuple(range(x.ndim)) if axis is None else axis

    def linear(x, weight, bias=None):
        return x @ weight if bias is None else x @ weight + bias

    def causal_attention(qkv, keep, n_head, p=0.0):
        B, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = (part.reshape(B, T, n_head, -1).transpose(1, 2) for part in qkv.split(C, dim=2))
        scores = q @ k.transpose(2, 3) / (C // n_head) ** 0.5
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        P = scores.masked_fill(future, float("-inf")).softmax(dim=3)
        P = P if keep is None else P * keep / (1 - p)
        return (P @ v).transpose(1, 2).reshape(B, T, C)

    return {
        "abs": torch.abs,
        "add": torch.add,
        "binary_cross_entropy": F.binary_cross_entropy,
        "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
        "broadcast_to": lambda x, shape: x.broadcast_to(shape),
        "cat": lambda *xs, axis=0: torch.cat(xs, axis),
        "causal_attention": causal_attention,
        "clip": lambda x, min=None, max=None: torch.clamp(x, min, max),
        "cross_entropy": lambda logits, targets, **options: F.cross_entropy(logits, targets.long(), **options),
        "divide": torch.div,
        "dropout": lambda x, keep, p=0.5: x * keep / (1 - p),
        "embedding": lambda ids, weight: F.embedding(ids.long(), weight),
        "exp": torch.exp,
        "gelu_erf": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "getitem": lambda x, index: x[index],
        "layer_norm": lambda x, weight, bias, eps=1e-5: F.layer_norm(x, x.shape[-1:], weight, bias, eps),
        "linear": linear,
        "linear_cross_entropy": lambda x, weight, targets, **options: F.cross_entropy(
            x @ weight.T, targets.long(), **options
        ),
        "log": torch.log,
        "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
        "matmul": torch.matmul,
        "max": lambda x, axis=None, keepdims=False: torch.amax(x, axes(x, axis), keepdims),
        "maximum": torch.maximum,
        "mean": lambda x, axis=None, keepdims=False: torch.mean(x, axes(x, axis), keepdims),
        "mse_loss": F.mse_loss,
        "multiply": torch.mul,
        "negative": torch.neg,
        "permute": lambda x, axes: x.permute(axes),
        "power": torch.pow,
        "relu": torch.relu,
        "reshape": lambda x, shape: x.reshape(shape),
        "sigmoid": torch.sigmoid,
        "softmax": lambda x, axis=-1: torch.softmax(x, axis),
        "sqrt": torch.sqrt,
        "stack": lambda *xs, axis=0: torch.stack(xs, axis),
        "subtract": torch.sub,
        "sum": lambda x, axis=None, keepdims=False: torch.sum(x, axes(x, axis), keepdims),
        "tanh": torch.tanh,
        "transpose": lambda x, axis0=-2, axis1=-1: x.transpose(axis0, axis1),
        "var": lambda x, axis=None, keepdims=False, correction=1: torch.var(
            x, axes(x, axis), correction=correction, keepdim=keepdims
        ),
        "where": torch.where,
    }
