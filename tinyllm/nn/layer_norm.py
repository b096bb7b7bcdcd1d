"""Layer normalisation with its scale and shift."""

from .. import ops
from . import init
from .module import Module


class LayerNorm(Module):
    """y = (x − mean) / √(variance + eps) · weight + bias over the last axis

    weight (C,)  bias (C,)  ·  x (..., C)  ->  y (..., C)
    """

    def __init__(self, normalized_shape, eps=1e-5, bias=True):
        self.eps = eps
        self.weight = init.constant(normalized_shape, 1)
        self.bias = init.constant(normalized_shape, 0) if bias else None

    def forward(self, x):
        return ops.layer_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self):
        return f"{self.weight.shape[0]}" + (", bias=False" if self.bias is None else "")
