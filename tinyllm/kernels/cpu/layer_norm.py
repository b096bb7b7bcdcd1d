"""layer_norm: row by row while a block is in the cache; sums along a row are products with ones."""

import numpy as np

from .arena import empty
from .share import in_blocks


def layer_norm_forward_cpu(x, weight=None, bias=None, *, eps=1e-5):
    C = x.shape[-1]
    y, x_hat = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    rows_x, rows_y, rows_x_hat = (array.reshape(-1, C) for array in (x, y, x_hat))
    rstd = np.empty((len(rows_x), 1), x.dtype)
    mean = np.full((C, 1), 1 / C, x.dtype)

    def block(rows):
        x, x_hat, y, r = rows_x[rows], rows_x_hat[rows], rows_y[rows], rstd[rows]
        np.subtract(x, x @ mean, out=x_hat)
        np.vecdot(x_hat, x_hat, out=r[:, 0])
        r /= C
        r += eps
        np.sqrt(r, out=r)
        np.divide(1, r, out=r)
        x_hat *= r
        if weight is None:
            y[...] = x_hat
        else:
            np.multiply(x_hat, weight, out=y)
        if bias is not None:
            y += bias

    in_blocks(block, len(rows_x), C)
    return y, (x_hat, rstd, weight)


def layer_norm_backward_cpu(dy, x_hat, rstd, weight):
    """The means of dx̂ and of dx̂ · x̂, dx̂ = dy · weight, are products of dy and of dy · x̂ with weight / C."""
    C = dy.shape[-1]
    dx = empty(dy.shape, dy.dtype)
    rows_dy, rows_x_hat, rows_dx = (array.reshape(-1, C) for array in (dy, x_hat, dx))
    scale = np.ones(C, dy.dtype) if weight is None else weight
    mean = (scale / C)[:, None]

    def block(rows):
        dy, x_hat, dx = rows_dy[rows], rows_x_hat[rows], rows_dx[rows]
        t = np.multiply(dy, x_hat, out=empty(dy.shape, dy.dtype))
        ones = np.ones(len(dy), dy.dtype)
        sums = ones @ t, ones @ dy
        mean_dx_hat_x_hat = t @ mean
        np.multiply(dy, scale, out=dx)
        dx -= dy @ mean
        dx -= np.multiply(x_hat, mean_dx_hat_x_hat, out=t)
        dx *= rstd[rows]
        return sums

    dweights, dbiases = zip(*in_blocks(block, len(rows_dy), C))
    return dx, sum(dweights[1:], dweights[0]), sum(dbiases[1:], dbiases[0])


KERNELS = {"layer_norm": (layer_norm_forward_cpu, layer_norm_backward_cpu)}
