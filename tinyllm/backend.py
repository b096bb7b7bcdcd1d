"""Where the numbers live: numpy on the CPU, cupy on an NVIDIA GPU. The data decides, never a global switch."""

import sys

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


def to_numpy(x):
    """x as a numpy array: itself where it is one already, else copied from the GPU."""
    return np.asarray(x) if array_module(x) is np else x.get()


def require(backend):
    """Raise where `backend` is none of BACKENDS, or cannot compute here; the message says what is missing."""
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    if backend == "cupy":
        try:
            count = _cupy().cuda.runtime.getDeviceCount()
        except ImportError:
            raise
        except Exception as error:  # cupy's own class, as where there is no driver
            raise ImportError(f"backend 'cupy' finds no NVIDIA GPU that works ({error}); install its driver, or choose "
                              "backend 'numpy'") from error
        if count == 0:
            raise ImportError("backend 'cupy' finds no NVIDIA GPU here; choose backend 'numpy'")


def to(x, backend):
    """x as an array of `backend`, "numpy" or "cupy": itself where it lives there already, else a copy."""
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return to_numpy(x) if backend == "numpy" else _cupy().asarray(x)


def _cupy():
    try:
        import cupy
    except ImportError as error:
        raise ImportError("backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'") from error
    return cupy


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
