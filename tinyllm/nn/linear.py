"""The linear layer, in the two layouts that files of weights use."""

import math

from .. import ops
from . import init
from .functional import linear
from .module import Module


class Linear(Module):
    """y = x weightᵀ + bias, torch's layout: one row of the weight for each output. weight: a parameter to share.

    weight (O, I)  bias (O,)  ·  x (..., I)  ->  y (..., O)
    """

    def __init__(self, in_features, out_features, bias=True, weight=None):
        bound = 1 / math.sqrt(in_features)  # torch's: the variance of y does not depend on the number of inputs
        self.weight = init.uniform((out_features, in_features), bound) if weight is None else weight
        self.bias = init.uniform(out_features, bound) if bias else None

    def forward(self, x):
        return linear(x, self.weight, self.bias)

    def extra_repr(self):
        return "{1}, {0}".format(*self.weight.shape) + (", bias=False" if self.bias is None else "")


class Conv1D(Module):
    """y = x weight + bias, GPT-2's layout: one column of the weight for each output. Hugging Face's name for it.

    weight (I, O)  bias (O,)  ·  x (..., I)  ->  y (..., O)
    """

    def __init__(self, in_features, out_features, bias=True, std=0.02):
        self.weight = init.normal((in_features, out_features), std)
        self.bias = init.constant(out_features, 0) if bias else None

    def forward(self, x):
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return "{}, {}".format(*self.weight.shape) + (", bias=False" if self.bias is None else "")
