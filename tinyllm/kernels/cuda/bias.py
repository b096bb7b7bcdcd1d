"""A bias and its gradient where no product takes them along (see bias.cu)."""

import numpy as np

from ...backend import array_module
from .compile import contiguous, counters, launch, packed, processors

GROUPS = 16  # of threads in a block of sum_rows, as there
THREADS = 256  # of a block of add_bias


def add_bias(y, bias):
    """y += bias, in every row

    y (..., C)  bias (C,)
    """
    if not y.flags.c_contiguous:
        y += bias
        return
    C, bias = y.shape[-1], contiguous(bias)
    packs = packed(C, y, bias)
    each = 16 // y.itemsize if packs else 1
    blocks = max(1, min(-(-y.size // (THREADS * each)), 8 * processors()))
    launch("bias", "add_bias", y.dtype, (blocks,), (THREADS,), y, bias, np.int64(y.size), np.int32(C), packs)


def sum_rows(x, sums, add=False):
    """sums = Σ rows of x, or added to what is there: an array of float32, or of x's dtype

    x (N, C)  sums (C,)
    """
    xp, x, (rows, C) = array_module(x), contiguous(x), x.shape
    packs = packed(C, x)
    columns = 32 * (16 // x.itemsize if packs else 1)
    tiles = -(-C // columns)
    grid = max(1, min(-(-rows // GROUPS), 4 * processors() // tiles)), tiles
    launch("bias", "sum_rows", x.dtype, grid, (32, GROUPS), sums, xp.empty((*grid, columns), "float32"),
           counters(tiles * (1 + grid[0])), x, np.int32(rows), np.int32(C), packs,
           np.int32(sums.dtype == "float32"), np.int32(add))  # fmt: skip
    return sums
