"""gelu_tanh: the forward, which has everything at hand, also computes the slope; the backward is one multiplication."""

import numpy as np

from ...ops.gelu import A, B
from .arena import empty
from .share import in_blocks


def gelu_tanh_forward_cpu(x):
    """y = x s and slope = s + 2 y (1 − s) u′, where u = x r, r = A + A B x² and so 2 u′ = 6 r − 4 A"""
    y, slope = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    flat_x, flat_y, flat_slope = x.reshape(-1), y.reshape(-1), slope.reshape(-1)

    def block(part):
        x, y, r = flat_x[part], flat_y[part], flat_slope[part]
        s, t = empty((2, len(x)), x.dtype)
        np.multiply(x, x, out=r)
        r *= A * B
        r += A
        np.multiply(x, r, out=s)
        np.tanh(s, out=s)
        s *= 0.5
        s += 0.5
        np.multiply(x, s, out=y)
        r *= 6
        r -= 4 * A
        r *= y
        r -= np.multiply(r, s, out=t)
        r += s

    in_blocks(block, x.size, 1)
    return y, (slope,)


def gelu_tanh_backward_cpu(dy, slope):
    dx = empty(dy.shape, dy.dtype)
    flat_dy, flat_slope, flat_dx = dy.reshape(-1), slope.reshape(-1), dx.reshape(-1)
    in_blocks(lambda part: np.multiply(flat_dy[part], flat_slope[part], out=flat_dx[part]), dy.size, 1)
    return dx


KERNELS = {"gelu_tanh": (gelu_tanh_forward_cpu, gelu_tanh_backward_cpu)}
