"""causal_attention: one launch forward, two backward, and nothing of T × T in memory (see attention.cu).

In bfloat16, cuDNN's kernels train where there are such (see attention_cudnn.py). A forward alone is done here: it may
have another length each time, and cuDNN would have to be prepared for each.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from ... import precision
from ...backend import array_module
from ...observe import MODE
from ...ops.attention import causal_attention_forward
from ...random import threshold
from .attention_cudnn import Sdpa, sdpa_for
from .compile import contiguous, launch

THREADS = 128  # of a block
WIDEST = 128  # head


def causal_attention_forward_cuda(qkv, keep=None, *, n_head, p=0.0):
    """keep: a mask of booleans; or its counter, (2,) uint64, as `DropoutStream.counter` gives it."""
    if n_head < 1 or qkv.shape[-1] % (3 * n_head):
        return causal_attention_forward(qkv, keep, n_head=n_head, p=p)  # says what is wrong
    xp, (B, T, C) = array_module(qkv), (*qkv.shape[:2], qkv.shape[2] // 3)
    if C // n_head > WIDEST:
        raise ValueError(f"attention: heads of {C // n_head} channels; a GPU's kernels take {WIDEST} at most: choose "
                         "more heads, or TINYLLM_KERNELS=off")
    qkv, keep = _ready(qkv), _mask(keep, (B, n_head, T, T), xp)
    if fused := _fused(qkv, keep, n_head):
        y, lse = fused.forward(qkv)
        return y, (qkv, y, lse, keep, p, fused)
    tiles = tiles_for(C // n_head, qkv.dtype.name, tensor_cores(qkv.dtype), dropout_of(keep))
    y, lse = xp.empty((B, T, C), qkv.dtype), xp.empty((B, n_head, T), "float32")
    _launch("attention_forward", tiles, tiles.forward, (qkv, y, lse), keep, p, (B, n_head, T, C // n_head))
    return y, (qkv, y, lse, keep, p, tiles)


def causal_attention_backward_cuda(dy, qkv, y, lse, keep, p, how):
    """how the forward was done: the Tiles, or a Sdpa."""
    xp, dy, sizes = array_module(dy), _ready(dy), (*lse.shape, y.shape[2] // lse.shape[1])
    if isinstance(how, Sdpa):
        return how.backward(dy, qkv, y, lse), None
    dqkv, delta = xp.empty(qkv.shape, qkv.dtype), xp.empty(lse.shape, "float32")
    _launch("attention_backward_q", how, how.backward, (dy, qkv, y, lse, delta, dqkv), keep, p, sizes)
    _launch("attention_backward_kv", how, how.backward, (dy, qkv, lse, delta, dqkv), keep, p, sizes)
    return dqkv, None


class Tiles(NamedTuple):
    """How the work is cut up: attention.cu is compiled with these, and launched by them."""

    HEAD: int  # columns of a row of a tile: D, filled up to a multiple of 16
    EXACT: int  # whether they are D
    TENSOR_CORES: int  # 0: float32, exact to rounding
    DROPOUT: int  # 0: none, 1: a mask, 2: a counter
    FORWARD_ROWS: int  # of a thread; it has more of one tile's sum in its registers then, and reads the other side less
    BACKWARD_ROWS: int
    COLS: int  # of a tile
    STAGES: int  # tiles in shared memory: with one, a block's copies have to fit in between another block's products
    BLOCKS: int  # on a multiprocessor at a time, as registers and shared memory allow

    def define(self):
        return tuple(f"{name}={value}" for name, value in self._asdict().items())

    @property
    def forward(self):
        """Rows of a block."""
        return self.FORWARD_ROWS * (32 if self.TENSOR_CORES else 8)

    @property
    def backward(self):
        return self.BACKWARD_ROWS * (32 if self.TENSOR_CORES else 8)

    def shared(self, name, itemsize):
        """Bytes of shared memory: the rows, stages of two tiles, what float32 weights pass through, lse and delta."""
        rows, sides = (self.forward, 1) if name == "attention_forward" else (self.backward, 2)
        row = self.HEAD * itemsize + 16
        weights = 0 if self.TENSOR_CORES else rows * (self.COLS + 16) * 4
        numbers = 2 * self.STAGES * self.COLS * 4 if name == "attention_backward_kv" else 0
        return (sides * rows + 2 * self.STAGES * self.COLS) * row + weights + numbers


@cache
def tiles_for(D, dtype, cores, dropout):
    head, wide, half = (-(-D // 16) * 16, int(D % 16 == 0)), D > 64, dtype == "bfloat16"
    if not cores:
        rows, cols = (4, 32) if wide else (8, 64)
        return Tiles(*head, 0, dropout, rows, rows, cols, STAGES=1, BLOCKS=2)
    spare = half and not wide and not dropout and head[1]
    rows, cols = 2 if wide or dropout else 4, 32 if wide + (dropout > 0) > half else 64
    return Tiles(*head, 1, dropout, rows, 2, cols, STAGES=1 if wide and not half else 2, BLOCKS=3 if spare else 2)


def _fused(qkv, keep, H):
    """What cuDNN has for it, or None."""
    B, T, D = *qkv.shape[:2], qkv.shape[2] // (3 * H)
    suits = qkv.dtype.name == "bfloat16" and keep is None and D % 8 == 0 and qkv.size and MODE.get().recording
    return sdpa_for(B, H, T, D) if suits else None


def tensor_cores(dtype):
    """Whether products round what goes into them: to bfloat16, or under tf32."""
    return int(dtype.name == "bfloat16" or precision.current() == "tf32")


def dropout_of(keep):
    return 0 if keep is None else 2 if keep.dtype == "uint64" else 1


def _mask(keep, shape, xp):
    if keep is None or keep.dtype == "uint64":
        return keep
    return contiguous(xp.broadcast_to(keep.astype(bool, copy=False), shape))


def _ready(x):
    """x as the kernels read it, 16 bytes at a time."""
    x = contiguous(x)
    return x.copy() if x.data.ptr % 16 else x


def _launch(name, tiles, rows, arrays, keep, p, sizes):
    (B, H, T, D), x = sizes, arrays[0]
    p = p if tiles.DROPOUT else 0.0
    if x.size:
        launch("attention", name, x.dtype, (B * H, -(-T // rows)), (THREADS,), *arrays, keep, threshold(p),
               np.float32(1 / (1 - p)), *map(np.int32, (T, H, D)), np.float32(1 / math.sqrt(D)),
               shared=tiles.shared(name, x.itemsize), define=tiles.define())  # fmt: skip


KERNELS = {"causal_attention": (causal_attention_forward_cuda, causal_attention_backward_cuda)}
