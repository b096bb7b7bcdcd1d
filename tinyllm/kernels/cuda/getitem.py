"""getitem of rows of a parameter, as of the positions: the gradient goes where it adds up (see getitem.cu)."""

import numpy as np

from ...ops.shape import getitem_backward, getitem_forward
from ...places import Place
from ...rounding import rounded_pair
from .compile import contiguous
from .numbers import over_numbers

PLAIN = {"float32": getitem_backward, "bfloat16": rounded_pair(getitem_forward, getitem_backward)[1]}


def getitem_backward_cuda(dy, x_shape, index, into=(None,)):
    """What is no stretch of rows, or has no place in float32 to go to, is as in the op."""
    place = into[0]
    if place is None or not isinstance(index, slice) or index.step not in (None, 1) or not _fit(place.array):
        return PLAIN[dy.dtype.name](dy, x_shape, index)
    start, stop, _ = index.indices(x_shape[0])
    if not place.started and stop - start < x_shape[0]:
        place.array[...] = 0
        place = Place(place.array, True)
    rows, dy = place.array[start:stop], contiguous(dy)
    over_numbers("getitem", "getitem_backward", dy.dtype, dy.size, (rows, dy), np.int32(place.started))
    return into[0]


def _fit(array):
    return array.dtype == "float32" and array.flags.c_contiguous


KERNELS = {"getitem": (getitem_forward, getitem_backward_cuda)}
