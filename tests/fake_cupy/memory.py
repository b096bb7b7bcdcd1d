"""Where the arrays of the stand-in lie: poisoned, between pages that nobody may touch."""

import ctypes
import math
import mmap
import os

import numpy as np

POISON = b"\xff"  # NaN in every float type, −1 in integers
ALIGNED = 16  # bytes: an array begins at a multiple, so up to 15 bytes may lie between its end and the forbidden page
_libc = ctypes.CDLL(None) if os.name == "posix" else None  # elsewhere no kernel runs that could go astray


def guarded(shape, dtype):
    """An array of poison that ends where a forbidden page begins, so that an index too large is a fault, which the shim
    tells; one below 0 may hit what is left of the first page, but nothing that is another's.
    """
    dtype, shape = np.dtype(dtype), tuple(shape) if np.iterable(shape) else (shape,)
    size = math.prod(shape) * dtype.itemsize
    room = -(-max(size, 1) // ALIGNED) * ALIGNED
    pages = -(-room // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + 2 * mmap.PAGESIZE)
    base = np.frombuffer(memory, np.uint8)
    for page in (0, mmap.PAGESIZE + pages):
        if _libc:
            _libc.mprotect(ctypes.c_void_p(base.ctypes.data + page), ctypes.c_size_t(mmap.PAGESIZE), 0)
    base = base[mmap.PAGESIZE + pages - room :][:size]
    base[:] = POISON[0]
    return base.view(dtype).reshape(shape)


def copied(array):
    """A copy of a numpy array in such memory."""
    copy = guarded(array.shape, array.dtype)
    copy[...] = array
    return copy


def pinned(shape, dtype=float, order="C"):
    """An array of the host that a copy may read, or write, while the host goes on."""
    array = guarded(shape, dtype)
    _pinned.append(np.lib.array_utils.byte_bounds(array))
    return array


def is_pinned(array):
    low, high = np.lib.array_utils.byte_bounds(array)
    return any(start <= low and high <= stop for start, stop in _pinned)


_pinned = []


def alias(x):
    """x, or the arrays in it, as views that keep nothing alive: the addresses that a graph remembers."""
    if isinstance(x, np.ndarray) and x.size:
        low, high = np.lib.array_utils.byte_bounds(x)
        memory = (ctypes.c_char * (high - low)).from_address(low)
        return np.ndarray(x.shape, x.dtype, memory, x.ctypes.data - low, x.strides)
    if isinstance(x, (list, tuple)):
        return type(x)(map(alias, x))
    return {key: alias(value) for key, value in x.items()} if isinstance(x, dict) else x
