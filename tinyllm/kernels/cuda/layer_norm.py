"""layer_norm: one launch forward, one backward (see layer_norm.cu)."""

import numpy as np

from ...backend import array_module
from .compile import contiguous, counters, launch, packed, processors
from .places import gradient, target

WARPS = 4  # rows of one block, forward
THREADS = 512  # at most, of a block of the backward


def layer_norm_forward_cuda(x, weight=None, bias=None, *, eps=1e-5):
    """As the op; what is saved is x, which is there anyway, with mean and rstd (rows,) in float32."""
    xp, C = array_module(x), x.shape[-1]
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.shape != (C,):
            raise ValueError(f"layer_norm: {name} must be ({C},), as the last axis of x {x.shape}, got {array.shape}")
    x, weight, bias = (a if a is None else contiguous(a) for a in (x, weight, bias))
    rows = x.size // max(C, 1)
    y, mean, rstd = xp.empty(x.shape, x.dtype), xp.empty(rows, "float32"), xp.empty(rows, "float32")
    if rows:
        launch("layer_norm", "layer_norm_forward", x.dtype, (-(-rows // WARPS),), (32, WARPS), y, mean, rstd, x,
               weight, bias, np.int32(rows), np.int32(C), packed(C, y, x, weight, bias), np.float32(eps))  # fmt: skip
    return y, (x, mean, rstd, weight)


def layer_norm_backward_cuda(dy, x, mean, rstd, weight, *, needs=(True, True, True), into=(None, None, None)):
    """dx, dweight, dbias: the sums over rows are float32, and so are the places they may go to."""
    xp, C, dy = array_module(dy), dy.shape[-1], contiguous(dy)
    shapes, dtypes = (x.shape, (C,), (C,)), (x.dtype, "float32", "float32")
    written = [target(*what, xp) if need else None for need, *what in zip(needs, into, shapes, dtypes)]
    dx, dweight, dbias = (place and place.array for place in written)
    packs = packed(C, dy, x, dx, weight)
    block, grid, columns = _layout(len(mean), C, 16 // x.itemsize if packs else 1)
    launch("layer_norm", "layer_norm_backward", x.dtype, grid, block, dx, dweight, dbias,
           xp.empty((*grid[::-1], 2, columns), "float32"), counters(grid[1] * (1 + grid[0])), dy, x, mean, rstd,
           weight, np.int32(len(mean)), np.int32(C), packs,
           *(np.int32(place is not None and place.started) for place in written))  # fmt: skip
    return tuple(gradient(place, given, x.dtype) for place, given in zip(written, into))


def _layout(rows, C, N):
    """block (columns / N, groups of rows), grid (blocks of rows, of columns), and the columns of one block."""
    across = min(THREADS, -(-C // (32 * N)) * 32)
    block = (across, THREADS // across)
    tile = block[0] * block[1] // 32  # rows that a block takes at once: one a warp
    return block, (max(1, min(-(-rows // tile), 2 * processors())), -(-C // (across * N))), across * N


KERNELS = {"layer_norm": (layer_norm_forward_cuda, layer_norm_backward_cuda)}
