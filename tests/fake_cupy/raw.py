"""cupy.RawModule and RawKernel: CUDA C++ that the shim runs on the CPU, one launch a call."""

import numpy as np

from .array import ndarray
from .device import DEVICE

SCALARS = {np.dtype(code).type for code in "?bhilqBHILQefd"}  # what cupy passes on; of a Python number it makes 8 bytes


USUAL_SHARED = 48 << 10  # bytes that a block gets without asking


class RawModule:
    """CUDA C++ source; compiled at the first get_function, as cupy does."""

    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc"):
        if code is None or path is not None or backend != "nvrtc":
            raise NotImplementedError("the stand-in compiles source")
        if not isinstance(options, tuple):
            raise TypeError(f"options must be a tuple, not {type(options).__name__}")
        self.code, self.options, self._allowed = code, options, {}

    def get_function(self, name):
        return RawKernel(self.code, name, self.options, _allowed=self._allowed)


class RawKernel:
    def __init__(self, code, name, options=(), *, _allowed=None):
        from tests.cuda.shim import compiled

        self.kernel, self._allowed = compiled(code, options)[name], {} if _allowed is None else _allowed

    @property
    def max_dynamic_shared_size_bytes(self):
        """A setting of the kernel on its device, which all RawKernels of one name and module have in common."""
        return self._allowed.get(self.kernel.name, USUAL_SHARED)

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self._allowed[self.kernel.name] = size

    def __call__(self, grid, block, args, *, shared_mem=0):
        if not isinstance(grid, tuple) or not isinstance(block, tuple) or not isinstance(args, tuple):
            raise TypeError("grid, block and args must be tuples")
        for x in args:
            if not isinstance(x, (ndarray, int, float)) and type(x) not in SCALARS:
                raise TypeError(f"Unsupported type {type(x)}")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise ValueError(f"{shared_mem} bytes of shared memory, but the kernel may use "
                             f"{self.max_dynamic_shared_size_bytes}: set max_dynamic_shared_size_bytes")
        arguments = [x._host if isinstance(x, ndarray) else x for x in args]
        DEVICE.start(self.kernel.name, self.kernel, grid, block, arguments, shared_mem)
