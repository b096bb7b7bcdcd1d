"""layer_norm: row by row while a block is in the cache; sums along a row are products with ones."""

import numpy as np

from ...places import Place
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


def layer_norm_backward_cpu(dy, x_hat, rstd, weight, needs=(True, True, True), into=(None, None, None)):
    """The means of dx̂ and of dx̂ · x̂, dx̂ = dy · weight, are products of dy and of dy · x̂ with weight / C."""
    C = dy.shape[-1]
    place = into[0]
    if needs[0] and not (place and place.array.flags.c_contiguous):
        place = Place(empty(dy.shape, dy.dtype), False)
    rows_dy, rows_x_hat = dy.reshape(-1, C), x_hat.reshape(-1, C)
    rows_dx = place.array.reshape(-1, C) if needs[0] else None
    scale = np.ones(C, dy.dtype) if weight is None else weight
    mean = (scale / C)[:, None]

    def block(rows):
        dy, x_hat = rows_dy[rows], rows_x_hat[rows]
        t = np.multiply(dy, x_hat, out=empty(dy.shape, dy.dtype)) if needs[0] or needs[1] else None
        ones = np.ones(len(dy), dy.dtype)
        sums = [ones @ array if wanted else None for array, wanted in ((t, needs[1]), (dy, needs[2]))]
        if needs[0]:
            dx = empty(dy.shape, dy.dtype) if place.started else rows_dx[rows]
            mean_dx_hat_x_hat = t @ mean
            np.multiply(dy, scale, out=dx)
            dx -= dy @ mean
            dx -= np.multiply(x_hat, mean_dx_hat_x_hat, out=t)
            dx *= rstd[rows]
            if place.started:
                rows_dx[rows] += dx
        return sums

    sums = zip(*in_blocks(block, len(rows_dy), C))
    dx = place if place is into[0] else place.array
    return dx, *(sum(parts[1:], parts[0]) if wanted else None for parts, wanted in zip(sums, needs[1:]))


KERNELS = {"layer_norm": (layer_norm_forward_cpu, layer_norm_backward_cpu)}
