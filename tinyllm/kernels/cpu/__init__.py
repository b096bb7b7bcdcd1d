"""Kernels for numpy: one matrix product instead of many, results in buffers that are used again, few passes.

arena.py has the buffers, share.py cuts an op into parts for threads; each other file has the kernels of the op of its
name.
"""

from ...autograd import OPS, kernel
from . import arithmetic, attention, embedding, gelu, layer_norm, linear, linear_cross_entropy
from .arena import ARENA

__all__ = ["ARENA"]

for _module in (arithmetic, attention, embedding, gelu, layer_norm, linear, linear_cross_entropy):
    for _name, _pair in _module.KERNELS.items():
        kernel(OPS[_name], "numpy", *_pair, dtypes=("float32", "float64"))
