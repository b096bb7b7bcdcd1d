"""A stand-in for cupy where there is no GPU: numpy inside, and stricter outside than cupy is.

    with stand_in() as cupy:          # `import cupy` gives it
        x = cupy.asarray(np.ones(3))
        with cupy.step():             # inside, whatever would make the CPU wait for the GPU raises
            x * 2
        cupy.counts                   # Counts(launches=1, products=0, uploads=1, downloads=0, bytes=24)

Its arrays have cupy's attributes and methods and no others, with cupy's arguments. What cupy refuses is refused:
numpy's functions on its arrays, and arithmetic with numpy arrays. So is what cupy would do in silence, at a price: to
copy an index to the GPU. Where cupy would give a wrong number, as for a row that is not there, numpy raises.

cublasLt, which our own binding calls, is tests/fake_cublaslt.py: `cupy.cublaslt` here, with what it refuses.
device.py counts and refuses, array.py has the arrays, functions.py the functions, memory.py where arrays lie, raw.py
the kernels in CUDA C++, which run through tests/cuda/shim.
"""

import sys
from contextlib import contextmanager
from types import ModuleType

from tests.fake_cublaslt import FakeCublasLt
from tinyllm.kernels.cuda import cublaslt

from .array import ndarray
from .device import DEVICE, CaptureRefused, Counts, Device, HiddenSynchronisation, allowing
from .functions import new_module
from .memory import pinned

__all__ = ["CaptureRefused", "Counts", "Device", "HiddenSynchronisation", "ndarray", "stand_in"]


class StandIn(ModuleType):
    """What `import cupy` gives; `counts`, `step`, `capture` and `cublaslt` are not cupy's."""

    def __init__(self):
        super().__init__("cupy")
        self.__dict__.update({**vars(new_module()), "HiddenSynchronisation": HiddenSynchronisation,
                              "CaptureRefused": CaptureRefused})  # fmt: skip

    @property
    def counts(self):
        return Counts(**vars(DEVICE.counts))

    def step(self):
        return allowing("step")

    def capture(self):
        return allowing("capture")


@contextmanager
def stand_in():
    """Inside, the stand-in is what `import cupy` gives."""
    module, cupyx = StandIn(), ModuleType("cupyx")
    cupyx.empty_pinned = pinned
    DEVICE.counts, names = Counts(), {"cupy": module, "cupyx": cupyx}
    real = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    module.cublaslt, found = FakeCublasLt(DEVICE.own_product), (cublaslt.library, cublaslt.WORKSPACE)
    cublaslt.library, cublaslt.WORKSPACE = lambda: module.cublaslt, 1 << 12
    try:
        yield module
    finally:
        cublaslt.library, cublaslt.WORKSPACE = found
        cublaslt._lt.cache_clear()
        for name, before in real.items():
            del sys.modules[name]
            if before is not None:
                sys.modules[name] = before
