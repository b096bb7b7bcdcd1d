"""linear_cross_entropy in blocks of the vocabulary: the scores are there once, their gradients a block at a time.

A block keeps E = e^(logits − its largest); what its rows lack to be probabilities is one number a row and block.
"""

import math

import numpy as np

from ...backend import check_ids
from ...ops.linear_cross_entropy import linear_cross_entropy_forward
from .arena import empty
from .share import added, in_blocks, product

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
        E = product(x, words.T)
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


def linear_cross_entropy_backward_cpu(
    dy, x, weight, blocks, factor, answers, counted, n, needs=(True, True, True), into=(None, None, None)
):
    share = np.where(counted, dy / n, 0).astype(x.dtype)  # (N,): an ignored target has none
    dx = dweight = None
    words = [slice(start, min(start + WORDS, len(weight))) for start in range(0, len(weight), WORDS)]

    def dlogits_of(rows):
        i = rows.start // WORDS
        E, scale = blocks[i], factor[i] * share[:, None]
        dlogits = empty(E.shape, x.dtype)
        in_blocks(lambda part: np.multiply(E[part], scale[part], out=dlogits[part]), *E.shape)
        here = np.flatnonzero((answers >= rows.start) & (answers < rows.stop))
        dlogits[here, answers[here] - rows.start] -= share[here]
        return dlogits

    def part(rows, out=None):
        nonlocal dx
        dlogits = dlogits_of(rows)
        if needs[0]:
            more = product(dlogits, weight[rows])
            dx = more if dx is None else np.add(dx, more, out=dx)
        if needs[1]:
            return product(dlogits.T, x, out)

    if needs[1]:
        dweight = added(into[1], weight.shape, x.dtype, words, part)
    else:
        for rows in words:
            part(rows)
    return dx, dweight, None


def _exponentials(E, top, total):
    """E ← e^(E − top) with top, the largest of each row, and total, the sum, written where they belong."""
    E.max(axis=1, keepdims=True, out=top)
    E -= top
    np.exp(E, out=E)
    np.matmul(E, np.ones((E.shape[1], 1), E.dtype), out=total)


KERNELS = {"linear_cross_entropy": (linear_cross_entropy_forward_cpu, linear_cross_entropy_backward_cpu)}
