"""embedding, with its results in the arena."""

import numpy as np

from ...backend import check_ids
from ...ops.embedding import embedding_forward
from .arena import empty
from .share import added, cuts


def embedding_forward_cpu(ids, weight):
    if ids.dtype.kind == "b":
        return embedding_forward(ids, weight)  # says what is wrong
    check_ids(ids, weight.shape[0], "token id")
    y = empty((*ids.shape, weight.shape[1]), weight.dtype)
    np.take(weight, ids, axis=0, out=y, mode="clip")  # none is clipped; "raise" would go through a second array
    return y, (ids, weight.shape)


def embedding_backward_cpu(dy, ids, weight_shape, into=(None, None)):
    """Only rows that were read have a gradient: where some is already, nothing is done with the others."""
    V, C = weight_shape
    rows, sums = sums_by_id(ids.reshape(-1), dy.reshape(-1, C))
    if into[1] and into[1].started:
        return None, into[1].add([rows], lambda rows: sums)

    def part(words, out=None):
        out = empty((words.stop - words.start, C), dy.dtype) if out is None else out
        first, last = np.searchsorted(rows, (words.start, words.stop))
        out[...] = 0
        out[rows[first:last] - words.start] = sums[first:last]
        return out

    return None, added(into[1], weight_shape, dy.dtype, cuts(V, C), part)


def sums_by_id(ids, dy):
    """The ids that there are (n,), each once and in order, and the sum of the rows of dy of each (n, C)."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    return ids[starts], np.add.reduceat(dy[order], starts, axis=0)


KERNELS = {"embedding": (embedding_forward_cpu, embedding_backward_cpu)}
