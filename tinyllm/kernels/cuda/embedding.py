"""embedding: rows by 128-bit copies; a gradient that adds to the rows that occur, in order (see embedding.cu)."""

import numpy as np

from ...backend import array_module
from ...ops.embedding import embedding_forward
from .compile import contiguous, launch, packed
from .places import gradient, target

SORTED = 1 << 15  # positions that are sorted together: a sort takes as many comparisons as its square


def embedding_forward_cuda(ids, weight):
    """As the op; but ids are looked at on the host, before they come here (see `backend.ids_to`)."""
    if ids.dtype.kind == "b":
        return embedding_forward(ids, weight)  # says what is wrong
    ids = contiguous(ids if ids.itemsize in (4, 8) else ids.astype("int32"))
    weight, C = contiguous(weight), weight.shape[1]
    y = array_module(weight).empty((*ids.shape, C), weight.dtype)
    if y.size:
        packs = packed(C, y, weight)
        threads = min(256, -(-C // (16 // y.itemsize if packs else 1) // 32) * 32)
        launch("embedding", "embedding_forward", y.dtype, (ids.size,), (threads,), y, ids, weight, _stride(ids),
               np.int32(C), packs)  # fmt: skip
    return y, (ids, weight.shape)


def embedding_backward_cuda(dy, ids, weight_shape, into=(None, None)):
    xp, (V, C) = array_module(dy), weight_shape
    dy, ids = contiguous(dy).reshape(ids.size, C), ids.reshape(-1)
    place = target(into[1], weight_shape, "float32", xp)
    if not place.started:
        place.array[...] = 0
    warps = 16 if ids.size > 8 * V else 4  # of a block, which adds up what one id gets
    for start in range(0, ids.size if C else 0, SORTED):
        part, rows = ids[start : start + SORTED], dy[start : start + SORTED]
        n, (order, ordered) = np.int32(part.size), xp.empty((2, part.size), "int32")
        launch("embedding", "embedding_order", dy.dtype, (-(-part.size // 128),), (32, 8), order, ordered, part,
               _stride(ids), n)  # fmt: skip
        launch("embedding", "embedding_backward", dy.dtype, (part.size,), (32, warps), place.array, rows, order,
               ordered, n, np.int32(C), packed(C, place.array, rows))  # fmt: skip
    return None, gradient(place, into[1], dy.dtype)


def _stride(ids):
    """How many int32 are one id: the first of two is its lower half."""
    return np.int32(ids.itemsize // 4)


KERNELS = {"embedding": (embedding_forward_cuda, embedding_backward_cuda)}
