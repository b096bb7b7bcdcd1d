"""Layer normalisation with its scale and shift."""

from . import init
from .functional import layer_norm
from .module import Module


class LayerNorm(Module):
    """y = (x − mean) / √(variance + eps) · weight + bias over the last axis, whose length is normalized_shape

    weight (C,)  bias (C,)  ·  x (..., C)  ->  y (..., C)
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        self.normalized_shape, self.eps = normalized_shape, eps
        self.weight = init.constant(normalized_shape, 1) if elementwise_affine else None
        self.bias = init.constant(normalized_shape, 0) if elementwise_affine and bias else None

    def forward(self, x):
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}" + (", bias=False" if self.bias is None else "")
