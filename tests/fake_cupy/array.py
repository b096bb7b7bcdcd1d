"""The arrays of the stand-in: numpy inside, with cupy's attributes and methods and no others."""

from types import SimpleNamespace

import numpy as np

from .device import DEVICE
from .memory import is_pinned

UNSUPPORTED = "Unsupported type <class 'numpy.ndarray'>: bring it to the GPU with cupy.asarray"


class ndarray:
    """An array of the GPU that is not there."""

    __slots__ = ("_host", "base", "__weakref__")
    __array_ufunc__ = None  # numpy_array + this is for __radd__ to answer, which refuses it
    __hash__ = None

    def __init__(self, host, base=None):
        self._host, self.base = host if isinstance(host, np.ndarray) else np.asarray(host), base

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
                        "array explicitly.")

    def __array_function__(self, function, *arguments):
        raise TypeError(f"numpy.{function.__name__} of a cupy array: say xp.{function.__name__}")

    # what is known without a look at the numbers

    shape, dtype, ndim = (property(lambda self, name=n: getattr(self._host, name)) for n in ("shape", "dtype", "ndim"))
    size, nbytes, itemsize, strides = (
        property(lambda self, name=n: getattr(self._host, name)) for n in ("size", "nbytes", "itemsize", "strides")
    )

    @property
    def T(self):
        return view(self._host.T, self)

    @property
    def flags(self):
        return SimpleNamespace(c_contiguous=self._host.flags.c_contiguous, f_contiguous=self._host.flags.f_contiguous)

    @property
    def data(self):
        return SimpleNamespace(ptr=self._host.ctypes.data)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # the way back: the CPU waits

    def get(self, stream=None, order="C", out=None, blocking=True):
        if blocking:
            DEVICE.download(self._host, "get()")
            return self._host.copy() if out is None else np.copyto(out, self._host) or out
        stream = stream or DEVICE.stream
        DEVICE.refuse_in_capture("get()")
        DEVICE.counts.bytes += self.nbytes
        stream.later(lambda: np.copyto(out, self._host))
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.shape != self.shape or arr.dtype != self.dtype:
            raise ValueError(f"a {arr.shape} {arr.dtype} array cannot be set to one of {self.shape} {self.dtype}")
        DEVICE.upload(arr)
        stream = stream or DEVICE.stream
        stream.later(lambda: np.copyto(self._host, arr))
        if not is_pinned(arr):  # it goes through pinned memory of cupy's or the driver's, while the caller waits
            stream.come_to(stream.put)

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
        if all(isinstance(part, (int, np.integer)) for part in parts(index)):
            index = (*parts(index), ...)  # one number is a view, too, of no axes
        return made("getitem", self, np.ndarray.__getitem__, index)

    def __setitem__(self, index, value):
        index = hosts_of_index(index)
        look_for_a_mask(index)
        if not isinstance(value, ndarray) and any(isinstance(part, np.ndarray) for part in parts(index)):
            DEVICE.upload(np.asarray(value))  # cupy makes an array of a number that goes to places an array names
        DEVICE.start("setitem", np.ndarray.__setitem__, self._host, index, host(value))

    # methods, with cupy's arguments

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return launched("astype", np.ndarray.astype, self._host, dtype, order)

    def copy(self, order="C"):
        return launched("copy", np.ndarray.copy, self._host, order)

    def reshape(self, *shape, order="C", copy=None):
        return made("copy", self, np.ndarray.reshape, *shape)

    def transpose(self, *axes):
        return view(self._host.transpose(*axes), self)

    def swapaxes(self, axis1, axis2):
        return view(self._host.swapaxes(axis1, axis2), self)

    def ravel(self, order="C"):
        return made("copy", self, np.ndarray.ravel, order)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return launched("sum", np.ndarray.sum, self._host, axis, dtype, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return launched("mean", np.ndarray.mean, self._host, axis, dtype, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return launched("max", np.ndarray.max, self._host, axis, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return launched("min", np.ndarray.min, self._host, axis, keepdims=keepdims)

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return launched("argmax", np.ndarray.argmax, self._host, axis, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return launched("all", np.ndarray.all, self._host, axis, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return launched("any", np.ndarray.any, self._host, axis, keepdims=keepdims)

    def clip(self, min=None, max=None, out=None):
        if min is None and max is None:
            raise ValueError("One of max or min must be given")
        return launched("clip", np.ndarray.clip, self._host, host(min), host(max))

    def __matmul__(self, other):
        return product(self._host, host(other))

    def __rmatmul__(self, other):
        return product(host(other), self._host)


def _operator(name):
    def method(self, *others):
        return launched(name.strip("_"), getattr(np.ndarray, name), self._host, *map(host, others))

    return method


def _in_place(name):
    def method(self, other):
        DEVICE.start(name.strip("_"), getattr(np.ndarray, name), self._host, host(other))
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


def launched(kind, function, *arguments, **options):
    """A new array, of what function gives for arguments that numpy knows."""
    with np.errstate(all="ignore" if DEVICE.graph else None):  # what is captured has no values yet
        result = function(*arguments, **options)
    if result is NotImplemented:
        return result
    result = np.asarray(result)
    out = like(result)
    if DEVICE.graph:
        DEVICE.start(kind, lambda to, a, o: np.copyto(to, function(*a, **o)), out, arguments, options)
    else:
        DEVICE.start(kind, np.copyto, out, result)
    return ndarray(out)


def view(result, source):
    return ndarray(result, source if source.base is None else source.base)


def like(result):
    """An array of the current pool with the shape of `result`, and its axes in memory in the same order."""
    axes = sorted(range(result.ndim), key=lambda axis: -abs(result.strides[axis]))
    out = DEVICE.pool.array([result.shape[axis] for axis in axes], result.dtype)
    return out.transpose(np.argsort(axes)) if axes != sorted(axes) else out


def made(kind, source, function, *arguments, **options):
    """What function gives, which may be a view of source and starts no kernel then."""
    result = function(source._host, *arguments, **options)
    shares = isinstance(result, np.ndarray) and np.may_share_memory(result, source._host)
    return view(result, source) if shares else launched(kind, function, source._host, *arguments, **options)


def product(a, b):
    DEVICE.product()
    return launched("matmul", np.matmul, a, b)
