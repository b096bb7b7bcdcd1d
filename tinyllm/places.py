"""Where gradients add up. A kernel may add its share to what is there, in place of giving an array to be added."""

import sys
from dataclasses import dataclass

import numpy as np

from .tensor import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where the gradient of an input adds up: array (+)= gradient. started: whether something is in it already.

    Where it is not, what the array holds is garbage, to be overwritten. It may be wider than the input (float32 for
    one of bfloat16).
    """

    array: object
    started: bool


def place_of(source, pending, sink):
    """Where a kernel may add the gradient of `source`: to what is pending, if nobody else sees that; or to a sink's."""
    if isinstance(source, Tensor):
        return sink.place(source) if sink else None
    return Place(pending[source], True) if source in pending and unseen(pending, source) else None


def unseen(arrays, key):
    """Whether arrays[key] is known to nobody but the dict `arrays`, and neither is the array that it is a view of."""
    base = arrays[key].base
    return sys.getrefcount(arrays[key]) == ALONE and (base is None or sys.getrefcount(base) == ALONE + 1)


_probe = {0: np.empty(0)}
ALONE = sys.getrefcount(_probe[0])  # of an array that nothing but one container holds
