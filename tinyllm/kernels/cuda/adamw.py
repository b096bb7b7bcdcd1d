"""AdamW and the length of the gradient over vectors that hold all parameters: see adamw.cu."""

import numpy as np

from .compile import counters, launch

BLOCK, BLOCKS = 256, 2112  # threads of a block; blocks: 16 for each of 132 multiprocessors
STRETCH = np.dtype({  # of adamw.cu
    "names": ["start", "stop", "decay", "beta1", "rest1", "beta2", "rest2", "rate", "root", "eps", "max_norm"],
    "formats": ["i8", "i8", *9 * ["f4"]],
    "itemsize": 64,
})  # fmt: skip
ALIGN = 128  # numbers: where a parameter begins in the vectors, so that it begins at 256 bytes, also in bfloat16


def blocks(size):
    """How many blocks go along vectors of this size."""
    return min(-(-size // (4 * BLOCK)), BLOCKS)


def gradient_norm(g, stretches, count, partial, result):
    """result ← norm of what `count` stretches say is part of g, and the scale that clips it.

    g (N,)  stretches (…,) uint8  partial (blocks(N),) float32  result (2,) float32
    """
    grid = blocks(g.size)
    launch("adamw", "gradient_norm", "float32", (grid,), (BLOCK,), g, stretches, np.int32(count), partial,
           counters(1), result)  # fmt: skip


def adamw(p, g, m, v, shadow, stretches, count, scale):
    """Move p, m and v as `count` stretches say, and write shadow, p in another dtype, where there is one."""
    dtype = "float32" if shadow is None else shadow.dtype.name
    launch("adamw", "adamw", dtype, (blocks(p.size),), (BLOCK,), p, g, m, v, shadow, stretches, np.int32(count), scale)
