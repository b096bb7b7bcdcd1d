"""Kernels for an NVIDIA GPU, in CUDA C++: one .cu file a subject, with its formula and layout at its head.

compile.py makes them run, common.cuh has what they share, and beside each .cu is the Python that launches it.
Importing this loads no cupy: a source is compiled when its first kernel runs.
"""

from ...autograd import OPS, kernel
from . import add, attention, dropout, embedding, gelu, getitem, layer_norm, linear, linear_cross_entropy
from .compile import REAL

__all__ = []

for _module in (add, attention, dropout, embedding, gelu, getitem, layer_norm, linear, linear_cross_entropy):
    for _name, _pair in _module.KERNELS.items():
        kernel(OPS[_name], "cupy", *_pair, dtypes=REAL)

for _name in ("reshape", "transpose"):  # they compute nothing, so bfloat16 need not become float32 for them
    kernel(OPS[_name], "cupy", OPS[_name].forward, OPS[_name].backward, dtypes=REAL)
