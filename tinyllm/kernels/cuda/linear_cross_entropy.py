"""linear_cross_entropy: a product, one kernel for the loss and its gradient by the scores, two products backward.

The scores (N, V) are there once, in x's dtype; the gradient takes their place while they are in the cache. It lacks
the factor dy / count, which is known on the GPU alone: the products of the backward read it there (alpha).
"""

import numpy as np

from ...backend import array_module
from ...observe import MODE
from ...ops.linear_cross_entropy import linear_cross_entropy_forward
from .compile import contiguous, counters, launch
from .products import gradient, product

ALIGN = 64  # numbers from row to row of the scores are a multiple of it: each row can be read in packs, whatever V is


def linear_cross_entropy_forward_cuda(x, weight, targets, *, ignore_index=-100):
    if targets.shape != x.shape[:1]:
        return linear_cross_entropy_forward(x, weight, targets, ignore_index=ignore_index)  # says what is wrong
    xp, N, V = array_module(x), len(x), len(weight)
    logits = xp.empty((N, -(-V // ALIGN) * ALIGN), x.dtype)
    product(x, weight.T, logits[:, :V])
    loss, share = cross_entropy_(logits, V, targets, ignore_index)
    return loss, (x, weight, logits[:, :V], share)


def linear_cross_entropy_backward_cuda(dy, x, weight, dlogits, share, needs=(True, True, True), into=(None,) * 3):
    alpha, dx, dweight = dy * share, None, None
    if needs[0]:
        dx = gradient(into[0], dlogits, weight, x.shape, alpha=alpha)
    if needs[1]:
        dweight = gradient(into[1], dlogits.T, x, weight.shape, alpha=alpha)
    return dx, dweight, None


def cross_entropy_(logits, V, targets, ignore_index):
    """The mean loss of rows of V scores, and 1 / how many count; where a backward may come, the scores become the
    gradient, without the factor dy / count.

    logits (N, ≥ V)  targets (N,) integers  ->  loss () float32  share () float32
    """
    xp, rows, leading = array_module(logits), *logits.shape
    loss, share = xp.empty((), "float32"), xp.empty((), "float32")
    threads = min(1024, -(-V // (32 * (16 // logits.itemsize))) * 32)
    targets = contiguous(targets.astype("int64", copy=False))
    launch("cross_entropy", "cross_entropy", logits.dtype, (rows,), (threads,), logits, targets,
           xp.empty(rows, "float32"), loss, share, counters(1), np.int32(V), np.int32(leading),
           np.int64(ignore_index), np.int32(MODE.get().recording))  # fmt: skip
    return loss, share


KERNELS = {"linear_cross_entropy": (linear_cross_entropy_forward_cuda, linear_cross_entropy_backward_cuda)}
