"""An op cut into parts: blocks that stay in the cache, and threads that share them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import numpy as np

from ...places import Place
from .arena import empty

BLOCK = 1 << 16  # numbers of each array that are worked on together
PART = 1 << 22  # numbers of a gradient that are made before they are added to what is there: mostly all, in one product
_threads = ContextVar("tinyllm.op_threads", default=1)


@contextmanager
def op_threads(n):
    """Inside, kernels cut their ops into n parts and work on them side by side. BLAS is to be held to one thread."""
    token = _threads.set(n)
    try:
        yield
    finally:
        _threads.reset(token)


def share(work, n):
    """[work(start, stop), …] of 0 … n cut into a part for each thread; in order, whoever is done first."""
    threads = min(_threads.get(), n)
    if threads <= 1:
        return [work(0, n)]
    cuts = [n * i // threads for i in range(threads + 1)]
    others = [_pool(threads).submit(work, *part) for part in zip(cuts[1:], cuts[2:])]
    return [work(*cuts[:2]), *(other.result() for other in others)]


def in_blocks(work, n, width):
    """[work(slice), …] of n rows of `width` numbers, a block of rows after the other."""
    rows = max(1, BLOCK // max(width, 1))

    def part(start, stop):
        return [work(slice(i, min(i + rows, stop))) for i in range(start, max(stop, start + 1), rows)]

    return [result for results in share(part, n) for result in results]


def product(a, b, out=None):
    """out = a @ b, two matrices: threads share the rows of out."""
    out = empty((len(a), b.shape[1]), a.dtype) if out is None else out
    share(lambda start, stop: np.matmul(a[start:stop], b, out=out[start:stop]), len(out))
    return out


def cuts(n, width):
    """Slices of n rows of `width` numbers, as many in each, of which a gradient is made one by one."""
    count = max(1, -(-n * width // PART))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def added(place, shape, dtype, parts, compute):
    """A gradient as a backward gives it: place, with all parts of it added, or an array; see Place.add."""
    if place is None:
        return Place(empty(shape, dtype), False).add(parts, compute).array
    return place.add(parts, compute)


@cache
def _pool(threads):
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="tinyllm-op")
