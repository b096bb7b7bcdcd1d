"""Ops made fast: pairs of a forward and a backward that compute what the op's own compute, up to rounding.

Importing this package attaches them to the ops; training, generation and the benchmarks do. `TINYLLM_KERNELS=off` in
the environment, or `with plain_ops():`, runs the ops as they stand in tinyllm/ops/; a recording (`tinyllm.trace()`)
always does. A kernel keeps the contract of an op, but for what it saves.
"""

from . import cpu, cuda

__all__ = ["cpu", "cuda"]
