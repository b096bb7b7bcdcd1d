"""The functions of the stand-in: numpy's, counted, for its arrays alone."""

import functools
from types import ModuleType, SimpleNamespace

import numpy as np

from .array import host, hosts_of_index, launched, made, ndarray, product, view
from .device import DEVICE
from .pool import MemoryHook, MemoryPool
from .raw import RawKernel, RawModule
from .stream import Event, Stream, using_allocator

ELEMENTWISE = ("abs", "add", "copysign", "equal", "exp", "isfinite", "isnan", "log", "log1p", "maximum", "minimum",
               "multiply", "sign", "sqrt", "subtract", "tanh")  # fmt: skip
MOVING = ("broadcast_to", "concatenate", "moveaxis", "split", "stack", "triu")
VIEWS = ("broadcast_to", "moveaxis")
MAKING = ("arange", "full", "ones", "ones_like", "zeros", "zeros_like")
ATOMIC = ("float16", "float32", "float64", "int32", "uint32", "uint64")  # what add.at adds up


def _matmul(x1, x2, out=None):
    if out is None:
        return product(host(x1), host(x2))
    DEVICE.product()
    DEVICE.start("matmul", np.matmul, host(x1), host(x2), host(out))
    return out


def _function(name):
    function = getattr(np, name)

    @functools.wraps(function)
    def call(*arguments, **options):
        if name == "split":
            return [view(part, arguments[0]) for part in function(*map(host, arguments), **options)]
        options = {key: host(value) for key, value in options.items()}
        if name in VIEWS:
            return made(name, arguments[0], function, *map(host, arguments[1:]), **options)
        return launched(name, function, *map(host, arguments), **options)

    return call


def _where(condition, x=None, y=None):
    if x is None:
        DEVICE.download(np.empty(1), "where() of one argument")
        raise NotImplementedError
    if not isinstance(condition, ndarray):
        raise TypeError("the condition of where must be an array of the GPU")
    return launched("where", np.where, condition._host, host(x), host(y))


def _add_at(a, index, values):
    if a.dtype not in ATOMIC:
        raise TypeError(f"add.at supports {', '.join(ATOMIC)}, not {a.dtype}")
    DEVICE.start("add.at", np.add.at, a._host, hosts_of_index(index), host(values))


def _empty(shape, dtype=float, order="C"):
    """No kernel: memory as it is. Here it is poisoned, and ends where memory ends."""
    return ndarray(DEVICE.pool.array(shape, dtype))


def _ascontiguousarray(a, dtype=None):
    same = dtype is None or a.dtype == dtype
    a = a if a.ndim else a.ravel()  # as cupy's: it gives none of () back
    return a if a.flags.c_contiguous and same else launched("copy", np.ascontiguousarray, host(a), dtype)


def _asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    array = np.asarray(a, dtype)
    DEVICE.upload(array)
    DEVICE.stream.come_to(DEVICE.stream.put)
    copy = DEVICE.pool.array(array.shape, array.dtype)
    copy[...] = array
    return ndarray(copy)


def new_module():
    module = ModuleType("cupy", "cupy, where there is no GPU")
    module.__version__ = "stand-in"
    for name in (*ELEMENTWISE, *MOVING, *MAKING):
        setattr(module, name, _function(name))
    module.where, module.asarray, module.ndarray, module.finfo = _where, _asarray, ndarray, np.finfo
    module.clip = lambda a, a_min, a_max, out=None: a.clip(a_min, a_max)
    module.add.at, module.matmul = _add_at, _matmul
    module.empty, module.ascontiguousarray = _empty, _ascontiguousarray
    module.RawModule, module.RawKernel = RawModule, RawKernel
    DEVICE.pool, DEVICE.stream = MemoryPool(), Stream.null
    default = DEVICE.pool
    module.get_default_memory_pool = lambda: default
    properties = {"name": b"stand-in", "totalGlobalMem": 8 << 30}
    module.cuda = SimpleNamespace(
        Device=lambda device: SimpleNamespace(attributes={"MultiProcessorCount": 2}),
        Stream=Stream, Event=Event, MemoryPool=MemoryPool, MemoryHook=MemoryHook, using_allocator=using_allocator,
        get_current_stream=lambda: DEVICE.stream,
        runtime=SimpleNamespace(
            getDeviceCount=lambda: 1, getDevice=lambda: 0, getDeviceProperties=lambda device: properties,
            driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 0, deviceSynchronize=DEVICE.synchronize,
        )
    )  # fmt: skip
    return module
