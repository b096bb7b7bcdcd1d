"""Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv:1612.00796): a spring on every weight, as stiff as the
old task needs it.

    penalty = λ/2 · Σᵢ Fᵢ (θᵢ − θᵢ*)²        θ* are the weights after the old task

F is the diagonal of the Fisher information: how fast what the model says changes when a weight moves.
"""

import numpy as np

from ..autograd import gradients
from ..backend import array_module, backend_of, to, to_numpy
from ..ops.softmax import softmax_forward


def fisher(model, windows, seed=0):
    """Fᵢ = E (∂ log p(y | x) / ∂θᵢ)² for each token of the windows, y drawn from what the model itself says.

    The draws of a window are independent, so the square of the sum of their gradients is, in the mean, the sum of the
    squares: one backward for each window is enough.

    windows: a list of ids (T,)  ->  {name of a parameter that learns: array}
    """
    rng = np.random.default_rng(seed)
    names = {p: name for name, p in model.named_parameters() if p.requires_grad}
    xp, place = array_module(next(iter(names)).data), backend_of(next(iter(names)).data)
    found = {name: xp.zeros_like(p.data) for p, name in names.items()}
    for window in windows:
        ids = to(np.asarray(window)[None], place)
        loss = model.loss(ids, to(sampled(model, ids, rng), place))
        for p, grad in gradients(loss).items():
            found[names[p]] += grad * grad * (len(window) / len(windows))  # T · (∇ mean)² = (∇ sum)² / T
    return found


def sampled(model, ids, rng):
    """Tokens that the model says come next, drawn by their probabilities.

    ids (B, T) integers  ->  targets (B, T) integers
    """
    with model.evaluating():
        p = softmax_forward(to_numpy(model(ids).data).astype(np.float64))[0]  # (B, T, V)
    return (p.cumsum(axis=-1) < rng.random((*p.shape[:-1], 1)) * p.sum(axis=-1, keepdims=True)).sum(axis=-1)


def penalty(model, information, anchor, strength):
    """λ/2 · Σᵢ Fᵢ (θᵢ − θᵢ*)², a scalar Tensor

    information, anchor: {name: array}, F and θ*
    """
    total = None
    for name, p in model.named_parameters():
        if name in information:
            moved = p - anchor[name]
            cost = (moved * moved * information[name]).sum()
            total = cost if total is None else total + cost
    return total * (strength / 2)
