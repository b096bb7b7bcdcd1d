"""add, with its result in the arena: it is what joins a block's halves to the residual stream."""

import numpy as np

from ...ops.arithmetic import add_backward, add_forward
from .arena import empty


def add_forward_cpu(a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        return add_forward(a, b)
    return np.add(a, b, out=empty(a.shape, a.dtype)), (a.shape, b.shape)


KERNELS = {"add": (add_forward_cpu, add_backward)}
