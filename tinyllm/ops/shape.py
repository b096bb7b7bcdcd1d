"""The same numbers in another arrangement: the backward undoes it for the gradient."""

from ..autograd import op
from ..backend import array_module
from .arithmetic import unbroadcast


def reshape_forward(x, *, shape):
    """y = the numbers of x, in the same order, in another shape; one -1 is worked out

    x (...)  ->  y (N, M)
    """
    y = x.reshape(shape)
    return y, (x.shape,)


def reshape_backward(dy, x_shape):
    """dx = dy in the shape of x"""
    dx = dy.reshape(x_shape)
    return dx


reshape = op(reshape_forward, reshape_backward)


def transpose_forward(x, *, axis0=-2, axis1=-1):
    """y = x with two axes exchanged

    x (..., N, M)  ->  y (..., M, N)
    """
    y = x.swapaxes(axis0, axis1)
    return y, (axis0, axis1)


def transpose_backward(dy, axis0, axis1):
    """dx = dy with the same two axes exchanged back"""
    dx = dy.swapaxes(axis0, axis1)
    return dx


transpose = op(transpose_forward, transpose_backward)


def permute_forward(x, *, axes):
    """y = x with its axes in a new order: axis i of y is axis axes[i] of x

    x (N, M)  ->  y (M, N)
    """
    y = x.transpose(axes)
    return y, (axes,)


def permute_backward(dy, axes):
    """dx = dy with its axes in the old order: axis axes[i] of dx is axis i of dy"""
    n = len(axes)
    positive = [axis % n for axis in axes]
    old_order = sorted(range(n), key=positive.__getitem__)
    dx = dy.transpose(old_order)
    return dx


permute = op(permute_forward, permute_backward)


def broadcast_to_forward(x, *, shape):
    """y = x repeated along new axes in front and axes of length 1

    x (1, N)  ->  y (M, N)
    """
    y = array_module(x).broadcast_to(x, shape)
    return y, (x.shape,)


def broadcast_to_backward(dy, x_shape):
    """dx = Σ dy over the copies: each of them has its own path to the loss."""
    dx = unbroadcast(dy, x_shape)
    return dx


broadcast_to = op(broadcast_to_forward, broadcast_to_backward)


def getitem_forward(x, *, index):
    """y = x[index]: integers, slices, None, ..., masks and arrays of integers

    x (N, ...)  ->  y (M, ...)
    """
    y = x[index]
    return y, (x.shape, index)


def getitem_backward(dy, x_shape, index):
    """dx = 0 but at [index], where dy is added: an element picked twice gets both shares."""
    xp = array_module(dy)
    dx = xp.zeros(x_shape, dy.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if all(part is None or part is ... or isinstance(part, (int, slice)) for part in parts):
        dx[index] = dy  # numbers and slices pick no element twice
    else:
        xp.add.at(dx, index, dy)
    return dx


getitem = op(getitem_forward, getitem_backward)


def cat_forward(*xs, axis=0):
    """y = the arrays one after the other along an axis they already have

    xs (N, ...)  ->  y (K, ...)
    """
    y = array_module(xs[0]).concatenate(xs, axis)
    return y, ([x.shape[axis] for x in xs], axis)


def cat_backward(dy, lengths, axis):
    """Each array gets its own stretch of dy."""
    starts = [sum(lengths[:i]) for i in range(1, len(lengths))]
    dxs = tuple(array_module(dy).split(dy, starts, axis))
    return dxs


_cat = op(cat_forward, cat_backward)


def cat(xs, axis=0):
    """y = the tensors one after the other along an axis they already have"""
    return _cat(*xs, axis=axis)


def stack_forward(*xs, axis=0):
    """y = the arrays one after the other along a new axis

    xs (...)  ->  y (K, ...)
    """
    y = array_module(xs[0]).stack(xs, axis)
    return y, (axis,)


def stack_backward(dy, axis):
    """Each array gets its own slice of dy."""
    dxs = tuple(array_module(dy).moveaxis(dy, axis, 0))
    return dxs


_stack = op(stack_forward, stack_backward)


def stack(xs, axis=0):
    """y = the tensors one after the other along a new axis"""
    return _stack(*xs, axis=axis)


def split(x, size, axis=0):
    """The tensors that x falls into along an axis: pieces of `size`, the last maybe shorter, or of the given sizes."""
    n = x.shape[axis]
    sizes = [min(size, n - start) for start in range(0, n, size)] or [0] if isinstance(size, int) else list(size)
    if sum(sizes) != n:
        raise ValueError(f"split: the sizes {sizes} add up to {sum(sizes)}, axis {axis} of {x.shape} has {n}")
    before = (slice(None),) * (axis % len(x.shape))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(getitem(x, index=(*before, slice(end - size, end))) for size, end in zip(sizes, ends))


def position(axis, n):
    """axis counted from the front, of n there are."""
    if not -n <= axis < n:
        raise IndexError(f"axis {axis} is outside {-n} … {n - 1}")
    return axis % n


def squeeze(x, axis=None):
    """x without its axes of length 1, or without the one named (if it is of length 1)"""
    drop = range(len(x.shape)) if axis is None else [position(axis, len(x.shape))]
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in drop))


def unsqueeze(x, axis):
    """x with a new axis of length 1 at position `axis`"""
    axis = position(axis, len(x.shape) + 1)
    return reshape(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))
