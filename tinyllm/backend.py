"""Where the numbers live: numpy on the CPU, cupy on an NVIDIA GPU. The data decides, never a global switch."""

import os
import sys
from functools import cache

import numpy as np

BACKENDS = ("numpy", "cupy")


def _library(x):
    return type(x).__module__.partition(".")[0]


def array_module(x):
    """The library that made array x: `xp = array_module(x)`, then `xp.exp(x)` runs where x lives."""
    return np if isinstance(x, np.ndarray) else sys.modules[_library(x)]


def is_array(x):
    """Whether x is an array of some backend (and not a number, list or Tensor)."""
    return isinstance(x, np.ndarray) or (_library(x) in BACKENDS and not isinstance(x, np.generic))


def backend_of(x):
    """The name of the backend that array x lives on."""
    return "numpy" if isinstance(x, np.ndarray) else _library(x)


def is_float(dtype):
    """Whether a dtype is of floating-point numbers; numpy does not know that bfloat16 (of ml_dtypes) is."""
    return dtype.kind == "f" or dtype_name(dtype) == "bfloat16"


@cache
def dtype_name(dtype):
    """dtype.name, which numpy makes anew each time it is asked for: longer than a small op takes."""
    return dtype.name


def dtype_of(name):
    """The dtype of that name: numpy's, or bfloat16, float32 with 7 bits of mantissa in place of 23."""
    if name == "bfloat16":
        try:
            import ml_dtypes  # noqa: F401  (numpy knows the name from then on)
        except ImportError as error:
            raise ImportError("bfloat16 needs ml_dtypes: pip install 'tinyllm-numpy[cuda]'") from error
    return np.dtype(name)


def to_numpy(x):
    """x as a numpy array: itself where it is one already, else copied from the GPU."""
    return np.asarray(x) if array_module(x) is np else x.get()


def to(x, backend):
    """x as an array of `backend`, "numpy" or "cupy": itself where it lives there already, else a copy."""
    _check_name(backend)
    if backend == "numpy":
        return to_numpy(x)
    cupy = _cupy()
    try:
        return cupy.asarray(x)
    except Exception:
        _find_gpu(cupy)  # says what is missing, where it is that
        raise


def ids_to(ids, backend, size, what="token id", ignored=None):
    """ids on a backend, looked at before they leave the host (see `check_range`); one that is `ignored` is no row."""
    if backend == backend_of(ids):
        return ids
    check_ids(ids[ids != ignored] if ignored is not None else ids, size, what)
    return to(ids, backend)


def number(x):
    """A number or 0-d array of the host as a Python float. One on a GPU stays there: to read it is to wait for it."""
    return x if is_array(x) and backend_of(x) != "numpy" else float(x)


def read_numbers(xs):
    """What `number` gave, as Python floats; of those on a GPU all are copied at once."""
    xs = list(xs)
    away = [x for x in xs if is_array(x)]
    read = iter(to_numpy(array_module(away[0]).stack(away)).tolist() if away else ())
    return [next(read) if is_array(x) else x for x in xs]


# what a backend can do here


def require(backend):
    """Raise where `backend` is none of BACKENDS, or cannot compute here; the message says what is missing."""
    _check_name(backend)
    if backend == "cupy":
        cupy = _cupy()
        _find_gpu(cupy)
        if os.environ.get("CUPY_TF32") == "1":
            raise ImportError("CUPY_TF32=1 makes cupy round what goes into matrix products to 10 bits, and tinyllm's "
                              "are float32; unset it (--precision tf32 asks for that)")
        try:
            x = cupy.ones((2, 2), "float32")
            (x @ x + x).get()  # a product of cuBLAS, a kernel that is compiled, and the way back
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ImportError(f"backend 'cupy' finds a GPU and cannot compute on it ({reason}); pip install "
                              "'tinyllm-numpy[cuda]' brings CUDA's libraries, or choose backend 'numpy'") from error


def card():
    """What cupy computes on, for a report: name, memory in bytes, CUDA versions of the driver and of the runtime."""
    runtime = _cupy().cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "gpu": properties["name"].decode(),
        "gpu_memory_bytes": properties["totalGlobalMem"],
        "cuda_driver": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
    }


def product_error(backend):
    """How wrong float32 matrix products are, of their largest entry, one matrix and a batch: 1e-6 at most.

    In TF32, where 10 bits of each factor are left, it would be 1e-4 or more.
    """
    a, b = np.random.default_rng(0).standard_normal((2, 2, 512, 512))
    a, b = a.astype(np.float32), b.astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    x, y = to(a, backend), to(b, backend)
    worst = max(abs(to_numpy(x @ y) - exact).max(), abs(to_numpy(x[0] @ y[0]) - exact[0]).max())
    return float(worst / abs(exact).max())


def _check_name(backend):
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")


def _find_gpu(cupy):
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # cupy's own class, as where there is no driver
        raise ImportError(f"backend 'cupy' finds no NVIDIA GPU that works ({error}); install its driver, or choose "
                          "backend 'numpy'") from error
    if count == 0:
        raise ImportError("backend 'cupy' finds no NVIDIA GPU here; choose backend 'numpy'")


def _cupy():
    try:
        import cupy
    except ImportError as error:
        if error.name == "cupy":
            raise ImportError("backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'") from error
        reason = str(error).strip().partition("\n")[0]
        raise ImportError(f"backend 'cupy' cannot load the cupy that is installed ({reason}); install it anew, or "
                          "choose backend 'numpy'") from error
    return cupy


# ids and other numbers that a GPU would not look at


def check_ids(ids, size, what):
    """Raise where an id is outside 0 … size − 1: numpy would let −1 wrap to the last row in silence, cupy any id."""
    check_range(ids, 0, size - 1, what, IndexError)


def check_range(x, low, high, what, error=ValueError):
    """Raise where an element lies outside low … high.

    Only arrays on the host are read: looking at one on the GPU would make the CPU wait for it, so ids are
    to be checked before they go there.
    """
    if array_module(x) is np and x.size and not (x.min() >= low and x.max() <= high):
        bad = x[~((x >= low) & (x <= high))].reshape(-1)[0]
        raise error(f"{what} {bad} is outside {low} … {high}")
