"""Where gradients add up. A kernel may add its share to what is there, in place of giving an array to be added."""

import sys
from dataclasses import dataclass

import numpy as np

from .backend import is_array
from .tensor import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where the gradient of an input adds up: array (+)= gradient. started: whether something is in it already.

    Where it is not, what the array holds is garbage, to be overwritten. It may be wider than the input (float32 for
    one of bfloat16).
    """

    array: object
    started: bool

    def add(self, parts, compute):
        """array (+)= gradient, part by part: compute(rows) gives these rows of it, a slice of the first axis, or, as
        compute(rows, out), writes them to out. Gives the Place, for the backward to return."""
        for rows in parts:
            if self.started:
                self.array[rows] += compute(rows)
            else:
                compute(rows, self.array[rows])
        return self


def place_of(source, pending, sink):
    """Where a kernel may add the gradient of `source`: to what is pending, if nobody else sees that; or to a sink's."""
    if isinstance(source, Tensor):
        return sink.place(source) if sink else None
    return Place(pending[source], True) if source in pending and unseen(pending, source) else None


def unseen(arrays, key):
    """Whether arrays[key] can be written to and is known to nobody but the dict `arrays`, and neither is the array
    that it is a view of."""
    base = arrays[key].base
    alone = sys.getrefcount(arrays[key]) == ALONE and (not is_array(base) or sys.getrefcount(base) == ALONE + 1)
    flags = arrays[key].flags  # it holds the array
    return alone and flags.c_contiguous and getattr(flags, "writeable", True)  # not one number that stands for many


_probe = {0: np.empty(0)}
ALONE = sys.getrefcount(_probe[0])  # of an array that nothing but one container holds
