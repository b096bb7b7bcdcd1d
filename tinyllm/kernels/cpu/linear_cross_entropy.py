"""linear_cross_entropy in blocks of the vocabulary: the scores are there once, their gradients a block at a time.

A block keeps E = e^(logits − its largest); what its rows lack to be probabilities is one number a row and block.
"""

import math

import numpy as np

from ...backend import check_ids
from ...ops.linear_cross_entropy import linear_cross_entropy_forward
from .arena import empty
from .share import in_blocks, product

WORDS = 4096  # of a block


def linear_cross_entropy_forward_cpu(x, weight, targets, *, ignore_index=-100):
    if targets.shape != x.shape[:1]:
        return linear_cross_entropy_forward(x, weight, targets, ignore_index=ignore_index)  # says what is wrong
    N, V = len(x), len(weight)
    counted = targets != ignore_index
    answers = np.where(counted, targets, 0)
    check_ids(answers, V, "target")
    starts = range(0, V, WORDS)
    top, total = np.empty((2, len(starts), N, 1), x.dtype)  # of each block: largest score, Σ e^(score − largest)
    at_answer = np.empty(N, x.dtype)
    blocks = []
    for i, start in enumerate(starts):
        words = weight[start : start + WORDS]
        E = product(x, words.T, empty((N, len(words)), x.dtype))
        here = np.flatnonzero((answers >= start) & (answers < start + WORDS))
        at_answer[here] = E[here, answers[here] - start]
        in_blocks(lambda rows: _exponentials(E[rows], top[i, rows], total[i, rows]), N, len(words))
        blocks.append(E)
    highest = top.max(axis=0)  # (N, 1)
    factor = np.exp(top - highest)  # of a block
    sums = (factor * total).sum(axis=0)
    losses = np.where(counted, np.log(sums[:, 0]) + (highest[:, 0] - at_answer), 0)
    n = max(int(counted.sum()), 1)
    loss = losses.sum() / n if counted.any() else np.full((), math.nan, x.dtype)
    return loss, (x, weight, blocks, factor / sums, answers, counted, n)


def linear_cross_entropy_backward_cpu(dy, x, weight, blocks, factor, answers, counted, n, needs=(True, True, True)):
    share = np.where(counted, dy / n, 0).astype(x.dtype)  # (N,): an ignored target has none
    dx = dweight = None
    if needs[1]:
        dweight = empty(weight.shape, x.dtype)
    for i, E in enumerate(blocks):
        start, (N, words) = i * WORDS, E.shape
        dlogits, scale = empty(E.shape, x.dtype), factor[i] * share[:, None]
        in_blocks(lambda rows: np.multiply(E[rows], scale[rows], out=dlogits[rows]), N, words)
        here = np.flatnonzero((answers >= start) & (answers < start + words))
        dlogits[here, answers[here] - start] -= share[here]
        if needs[1]:
            product(dlogits.T, x, dweight[start : start + words])
        if needs[0]:
            part = product(dlogits, weight[start : start + words], empty(x.shape, x.dtype))
            dx = part if dx is None else np.add(dx, part, out=dx)
    return dx, dweight, None


def _exponentials(E, top, total):
    """E ← e^(E − top) with top, the largest of each row, and total, the sum, written where they belong."""
    E.max(axis=1, keepdims=True, out=top)
    E -= top
    np.exp(E, out=E)
    np.matmul(E, np.ones((E.shape[1], 1), E.dtype), out=total)


KERNELS = {"linear_cross_entropy": (linear_cross_entropy_forward_cpu, linear_cross_entropy_backward_cpu)}
