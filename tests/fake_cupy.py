"""A stand-in for cupy where there is no GPU: numpy inside, and stricter outside than cupy is.

    with stand_in() as cupy:          # `import cupy` gives it
        x = cupy.asarray(np.ones(3))
        with cupy.step():             # inside, whatever would make the CPU wait for the GPU raises
            x * 2
        cupy.counts                   # Counts(launches=1, products=0, uploads=1, downloads=0, bytes=24)

Its arrays have cupy's attributes and methods and no others, with cupy's arguments. What cupy refuses is refused:
numpy's functions on its arrays, and arithmetic with numpy arrays. So is what cupy would do in silence, at a price: to
copy an index to the GPU. Where cupy would give a wrong number, as for a row that is not there, numpy raises.
"""

import functools
import sys
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import ModuleType, SimpleNamespace

import numpy as np

ELEMENTWISE = ("abs", "add", "copysign", "equal", "exp", "isfinite", "isnan", "log", "log1p", "maximum", "minimum",
               "multiply", "sign", "sqrt", "subtract", "tanh")  # fmt: skip
MOVING = ("broadcast_to", "concatenate", "moveaxis", "split", "stack", "triu")
MAKING = ("arange", "empty", "full", "ones", "ones_like", "zeros", "zeros_like")
ATOMIC = ("float16", "float32", "float64", "int32", "uint32", "uint64")  # what add.at adds up
UNSUPPORTED = "Unsupported type <class 'numpy.ndarray'>: bring it to the GPU with cupy.asarray"


class HiddenSynchronisation(RuntimeError):
    """The CPU would wait for the GPU where a training step must not."""


class CaptureRefused(RuntimeError):
    """A CUDA graph cannot hold this: cupy raises, and the capture is lost."""


@dataclass
class Counts:
    launches: int = 0  # calls that start at least one kernel
    products: int = 0  # of them, those of cuBLAS
    uploads: int = 0  # copies to the GPU
    downloads: int = 0  # copies from it, for each of which the CPU waits
    bytes: int = 0  # copied, both ways

    def __sub__(self, before):
        return Counts(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))


class Device:
    """What has happened on the GPU that is not there, and what is allowed now."""

    def __init__(self):
        self.counts, self.allowed = Counts(), "all"

    def launch(self):
        self.counts.launches += 1

    def product(self):
        if self.allowed == "capture":
            raise CaptureRefused("cuBLAS: cupy refuses its matrix products while a stream is captured")
        self.counts.launches += 1
        self.counts.products += 1

    def upload(self, array):
        if self.allowed == "capture":
            raise CaptureRefused("a copy to the GPU: the current stream is capturing")
        self.counts.uploads += 1
        self.counts.bytes += array.nbytes

    def download(self, array, how):
        if self.allowed == "capture":
            raise CaptureRefused(f"{how}: the current stream is capturing")
        if self.allowed == "step":
            raise HiddenSynchronisation(f"{how} waits for the GPU, inside a step")
        self.counts.downloads += 1
        self.counts.bytes += array.nbytes


DEVICE = Device()


class ndarray:
    """An array of the GPU that is not there."""

    __slots__ = ("_host", "__weakref__")
    __array_ufunc__ = None  # numpy_array + this is for __radd__ to answer, which refuses it
    __hash__ = None

    def __init__(self, host):
        self._host = host if isinstance(host, np.ndarray) else np.asarray(host)

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
                        "array explicitly.")

    def __array_function__(self, function, *arguments):
        raise TypeError(f"numpy.{function.__name__} of a cupy array: say xp.{function.__name__}")

    # what is known without a look at the numbers

    shape, dtype, ndim = (property(lambda self, name=n: getattr(self._host, name)) for n in ("shape", "dtype", "ndim"))
    size, nbytes, itemsize = (
        property(lambda self, name=n: getattr(self._host, name)) for n in ("size", "nbytes", "itemsize")
    )

    @property
    def base(self):
        return None if self._host.base is None else ndarray(self._host.base)

    @property
    def T(self):
        return ndarray(self._host.T)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # the way back: the CPU waits

    def get(self, stream=None, order="C", out=None, blocking=True):
        DEVICE.download(self._host, "get()")
        return self._host.copy()

    def item(self):
        DEVICE.download(self._host, "item()")
        return self._host.item()

    def tolist(self):
        DEVICE.download(self._host, "tolist()")
        return self._host.tolist()

    def __bool__(self):
        return bool(self._one("bool()"))

    def __float__(self):
        return float(self._one("float()"))

    def __int__(self):
        return int(self._one("int()"))

    def __index__(self):
        raise TypeError("only an int can be an index: this one would wait for the GPU")

    def __repr__(self):
        return repr(self._host) if DEVICE.allowed == "all" else f"<{self.shape} {self.dtype} on the GPU>"

    def _one(self, how):
        DEVICE.download(self._host, how)
        return self._host.item()

    # parts

    def __getitem__(self, index):
        index = hosts_of_index(index)
        look_for_a_mask(index)
        return made(self._host[index], self._host)

    def __setitem__(self, index, value):
        index = hosts_of_index(index)
        look_for_a_mask(index)
        if not isinstance(value, ndarray) and any(isinstance(part, np.ndarray) for part in parts(index)):
            DEVICE.upload(np.asarray(value))  # cupy makes an array of a number that goes to places an array names
        DEVICE.launch()
        self._host[index] = host(value)

    # methods, with cupy's arguments

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        return self if not copy and self.dtype == dtype else launched(self._host.astype(dtype, order))

    def copy(self, order="C"):
        return launched(self._host.copy(order))

    def reshape(self, *shape, order="C", copy=None):
        return made(self._host.reshape(*shape), self._host)

    def transpose(self, *axes):
        return ndarray(self._host.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return ndarray(self._host.swapaxes(axis1, axis2))

    def ravel(self, order="C"):
        return made(self._host.ravel(order), self._host)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return launched(self._host.sum(axis, dtype, keepdims=keepdims))

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return launched(self._host.mean(axis, dtype, keepdims=keepdims))

    def max(self, axis=None, out=None, keepdims=False):
        return launched(self._host.max(axis, keepdims=keepdims))

    def min(self, axis=None, out=None, keepdims=False):
        return launched(self._host.min(axis, keepdims=keepdims))

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return launched(self._host.argmax(axis, keepdims=keepdims))

    def all(self, axis=None, out=None, keepdims=False):
        return launched(self._host.all(axis, keepdims=keepdims))

    def any(self, axis=None, out=None, keepdims=False):
        return launched(self._host.any(axis, keepdims=keepdims))

    def clip(self, min=None, max=None, out=None):
        if min is None and max is None:
            raise ValueError("One of max or min must be given")
        return launched(self._host.clip(host(min), host(max)))

    def __matmul__(self, other):
        return product(self._host, host(other))

    def __rmatmul__(self, other):
        return product(host(other), self._host)


def _operator(name):
    def method(self, *others):
        result = getattr(self._host, name)(*map(host, others))
        return result if result is NotImplemented else launched(result)

    return method


def _in_place(name):
    def method(self, other):
        DEVICE.launch()
        getattr(self._host, name)(host(other))
        return self

    return method


OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")
for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in ("neg", "pos", "abs", "invert", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
ndarray.__module__ = "cupy"  # as the real one's: that is how an array says where it lives


def host(x):
    """What numpy computes with in place of an argument; numpy arrays and what holds one are refused."""
    if isinstance(x, ndarray):
        return x._host
    if isinstance(x, np.ndarray):
        raise TypeError(UNSUPPORTED)
    if isinstance(x, (list, tuple)):
        return type(x)(map(host, x))
    return x


def hosts_of_index(index):
    if isinstance(index, tuple):
        return tuple(map(hosts_of_index, index))
    if isinstance(index, (np.ndarray, list)):
        raise TypeError("a numpy array or a list as index: cupy would copy it to the GPU in silence")
    return host(index)


def parts(index):
    return index if isinstance(index, tuple) else (index,)


def look_for_a_mask(index):
    """How many places it picks decides the shape, so cupy counts them, and waits."""
    if any(isinstance(part, np.ndarray) and part.dtype.kind == "b" for part in parts(index)):
        DEVICE.download(np.empty(1), "a mask as index")


def launched(result):
    DEVICE.launch()
    return ndarray(result)


def made(result, source):
    """A result that may be a view, which starts no kernel."""
    return ndarray(result) if np.may_share_memory(result, source) else launched(result)


def product(a, b):
    DEVICE.product()
    return ndarray(a @ b)


def _matmul(x1, x2, out=None):
    result = product(host(x1), host(x2))
    if out is not None:
        out._host[...] = result._host
    return result if out is None else out


def _function(name):
    function = getattr(np, name)

    @functools.wraps(function)
    def call(*arguments, **options):
        result = function(*map(host, arguments), **{key: host(value) for key, value in options.items()})
        sources = [x for x in map(host, arguments) if isinstance(x, np.ndarray)]
        if isinstance(result, list):
            return [ndarray(part) for part in result]
        return made(np.asarray(result), sources[0]) if name in MOVING and sources else launched(result)

    return call


def _where(condition, x=None, y=None):
    if x is None:
        DEVICE.download(np.empty(1), "where() of one argument")
        raise NotImplementedError
    if not isinstance(condition, ndarray):
        raise TypeError("the condition of where must be an array of the GPU")
    return launched(np.where(condition._host, host(x), host(y)))


def _add_at(a, index, values):
    if a.dtype not in ATOMIC:
        raise TypeError(f"add.at supports {', '.join(ATOMIC)}, not {a.dtype}")
    DEVICE.launch()
    np.add.at(a._host, hosts_of_index(index), host(values))


def _asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    array = np.array(a, dtype)
    DEVICE.upload(array)
    return ndarray(array)


def new_module():
    module = ModuleType("cupy", __doc__)
    module.__version__ = "stand-in"
    for name in (*ELEMENTWISE, *MOVING, *MAKING):
        setattr(module, name, _function(name))
    module.where, module.asarray, module.ndarray, module.finfo = _where, _asarray, ndarray, np.finfo
    module.clip = lambda a, a_min, a_max, out=None: a.clip(a_min, a_max)
    module.add.at, module.matmul = _add_at, _matmul
    module.get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: 0, free_all_blocks=lambda: None)
    properties = {"name": b"stand-in", "totalGlobalMem": 8 << 30}
    module.cuda = SimpleNamespace(
        runtime=SimpleNamespace(
            getDeviceCount=lambda: 1, getDevice=lambda: 0, getDeviceProperties=lambda device: properties,
            driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 0, deviceSynchronize=lambda: None,
        )
    )  # fmt: skip
    return module


class StandIn(ModuleType):
    """What `import cupy` gives; `counts`, `step` and `capture` are not cupy's."""

    def __init__(self):
        super().__init__("cupy")
        self.__dict__.update({**vars(new_module()), "HiddenSynchronisation": HiddenSynchronisation,
                              "CaptureRefused": CaptureRefused})  # fmt: skip

    @property
    def counts(self):
        return Counts(**vars(DEVICE.counts))

    def step(self):
        return _allowing("step")

    def capture(self):
        return _allowing("capture")


@contextmanager
def _allowing(what):
    before, DEVICE.allowed = DEVICE.allowed, what
    try:
        yield
    finally:
        DEVICE.allowed = before


@contextmanager
def stand_in():
    """Inside, the stand-in is what `import cupy` gives."""
    real, module = sys.modules.get("cupy"), StandIn()
    DEVICE.counts, sys.modules["cupy"] = Counts(), module
    try:
        yield module
    finally:
        del sys.modules["cupy"]
        if real is not None:
            sys.modules["cupy"] = real
