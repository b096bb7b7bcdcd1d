"""add: of arrays of one shape, as in the residual stream, and of a table to each of a batch (see add.cu)."""

import math

import numpy as np

from ...backend import array_module
from ...ops.arithmetic import add_forward, unbroadcast
from .compile import contiguous
from .numbers import over_numbers

ROWS = 65535  # of a grid


def add_forward_cuda(a, b):
    if not _repeats(b.shape, a.shape):
        return add_forward(a, b)
    a, b = contiguous(a), contiguous(b)
    y, times = array_module(a).empty(a.shape, a.dtype), _times(b.shape, a.shape)
    over_numbers("add", "add_forward", a.dtype, b.size, (y, a, b), np.int32(times), rows=min(max(times, 1), ROWS),
                 aligned=_step(b, times))  # fmt: skip
    return y, (a.shape, b.shape)


def add_backward_cuda(dy, a_shape, b_shape, needs=(True, True)):
    """Of one shape both get dy, and nothing is launched. Whatever is summed up is so in float32."""
    return tuple(_summed(dy, shape) if need else None for need, shape in zip(needs, (a_shape, b_shape)))


def _summed(dy, shape):
    if dy.shape == shape:
        return dy
    if not _repeats(shape, dy.shape):
        return unbroadcast(dy.astype("float32", copy=False), shape).astype(dy.dtype, copy=False)
    dy, db, times = contiguous(dy), array_module(dy).empty(shape, dy.dtype), _times(shape, dy.shape)
    over_numbers("add", "add_backward", dy.dtype, db.size, (db, dy), np.int32(times), aligned=_step(db, times))
    return db


def _repeats(b_shape, a_shape):
    """Whether b is as large as a, or a table of at least two axes that is added to each of the parts of a."""
    return a_shape == b_shape or (1 < len(b_shape) < len(a_shape) and a_shape[-len(b_shape) :] == b_shape)


def _times(b_shape, a_shape):
    return math.prod(a_shape[: len(a_shape) - len(b_shape)])


def _step(b, times):
    return b.size if times > 1 else 0


KERNELS = {"add": (add_forward_cuda, add_backward_cuda)}
