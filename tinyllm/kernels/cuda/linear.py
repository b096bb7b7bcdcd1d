"""linear: one call of cublasLt a product, which adds the bias, or sums up its gradient, as it goes."""

from ...backend import array_module
from .bias import sum_rows
from .products import gradient, product, takes


def linear_forward_cuda(x, weight, bias=None):
    rows = x.reshape(-1, x.shape[-1])
    y = product(rows, weight, bias=bias)
    return y.reshape(*x.shape[:-1], weight.shape[1]), (x, weight)


def linear_backward_cuda(dy, x, weight, needs=(True, True, True), into=(None, None, None)):
    drows, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    dx = dweight = dbias = None
    if needs[0]:
        dx = gradient(into[0], drows, weight.T, x.shape)
    if needs[1]:
        wide = into[1].array.dtype if takes(into[1], rows.T, drows) else x.dtype
        sums = _vector(into[2], drows, wide) if needs[2] else None
        dweight = gradient(into[1], rows.T, drows, weight.shape, sums=sums)
    elif needs[2]:
        sums = sum_rows(drows, array_module(dy).empty(dy.shape[-1], "float32"))
    if needs[2]:
        dbias = _settled(into[2], sums, x.dtype)
    return dx, dweight, dbias


def _vector(place, drows, dtype):
    """Where the product that makes dweight can write dbias, in dweight's dtype: at its place, where nothing is yet."""
    if place and not place.started and place.array.dtype == dtype and place.array.flags.c_contiguous:
        return place.array
    return array_module(drows).empty(drows.shape[1], dtype)


def _settled(place, sums, dtype):
    if place is None:
        return sums.astype(dtype, copy=False)
    array = place.array
    if place.started:
        array += sums
    elif array is not sums:
        array[...] = sums
    return place


KERNELS = {"linear": (linear_forward_cuda, linear_backward_cuda)}
