"""Dropout: in training, each element is dropped with probability p."""

from .. import ops
from ..backend import array_module
from ..random import dropout_stream
from .module import Module


class Dropout(Module):
    """In training y = x · keep / (1 − p) with a fresh mask each time (see `random.dropout_step`), else y = x."""

    def __init__(self, p=0.5):
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be a probability from 0 to below 1, not {p}")
        self.p = p

    def mask(self, shape, like, op=ops.dropout):
        """keep (shape) bool beside the tensor `like`, for `op` to use (see `draw`); None where nothing is dropped."""
        return draw(shape, self.p, like, op) if self.training and self.p else None

    def forward(self, x):
        keep = self.mask(x.shape, like=x)
        return x if keep is None else ops.dropout(x, keep, p=self.p)

    def extra_repr(self):
        return f"{self.p}"


def draw(shape, p, like, op):
    """keep (shape) bool, False with probability p, beside the tensor `like`, for `op` to use.

    Where the op has a kernel that draws the mask itself, what it draws from (see `DropoutStream.counter`).
    """
    stream, xp = dropout_stream(), array_module(like.data)
    counter = stream.counter(xp) if op.kernel_for(like) else None
    return stream.keep(shape, p, xp) if counter is None else counter
