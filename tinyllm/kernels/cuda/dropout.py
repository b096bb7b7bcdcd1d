"""dropout: one launch forward, one backward, the mask computed in both (see dropout.cu)."""

import math

import numpy as np

from ...backend import array_module
from ...random import threshold
from .compile import contiguous
from .numbers import over_numbers


def dropout_forward_cuda(x, keep, *, p=0.5):
    """keep: a mask of booleans; or its counter, (2,) uint64, as `DropoutStream.counter` gives it."""
    return _dropped(x, keep, p), (keep, p)


def dropout_backward_cuda(dy, keep, p):
    return _dropped(dy, keep, p), None


def _dropped(x, keep, p):
    xp, x, counter = array_module(x), contiguous(x), None
    if keep.dtype == "uint64":
        counter, keep = keep, None
    else:
        keep = contiguous(xp.broadcast_to(keep.astype(bool, copy=False), x.shape))
    y, row = xp.empty(x.shape, x.dtype), math.prod(x.shape[1:])
    over_numbers("dropout", "dropout", x.dtype, x.size, (y, x), counter, keep, np.int64(row), threshold(p),
                 np.float32(1 / (1 - p)))  # fmt: skip
    return y


KERNELS = {"dropout": (dropout_forward_cuda, dropout_backward_cuda)}
