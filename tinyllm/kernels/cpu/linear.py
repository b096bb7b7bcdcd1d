"""linear: three matrix products, each one call of BLAS."""

import numpy as np

from .share import added, cuts, product


def linear_forward_cpu(x, weight, bias=None):
    rows = x.reshape(-1, x.shape[-1])
    y = product(rows, weight)
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[1]), (x, weight)


def linear_backward_cpu(dy, x, weight, needs=(True, True, True), into=(None, None, None)):
    drows, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    dx = dweight = dbias = None
    if needs[0]:
        dx = product(drows, weight.T).reshape(x.shape)
    if needs[1]:
        columns = rows.T
        dweight = added(
            into[1], weight.shape, x.dtype, cuts(*weight.shape), lambda i, out=None: product(columns[i], drows, out)
        )
    if needs[2]:
        dbias = np.ones(len(drows), x.dtype) @ drows  # a product with ones sums faster than sum(axis=0)
    return dx, dweight, dbias


KERNELS = {"linear": (linear_forward_cpu, linear_backward_cpu)}
