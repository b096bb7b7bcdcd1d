"""Memory for results: taken from a few large arrays, and given back when nobody sees a result any more.

The first touch of fresh memory costs more than most ops (the kernel zeroes it page by page), so buffers are used
again. Who uses one need not know: it is an ndarray, alive as long as it, a view of it, a tensor or a memoryview on it
is. Only when all of them are gone is the memory used for another, which is what Python's reference counts are for.
"""

import mmap
import threading
import weakref
from bisect import bisect_left, insort
from collections import deque
from contextlib import suppress

import numpy as np

SLAB = 1 << 26  # bytes of the large arrays; those never touched cost nothing
SMALL = 1 << 14  # bytes below which numpy's own memory is as quick
ALIGN, HUGE = 64, 1 << 21  # bytes of a line of the cache, and of a huge page
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
SLAB_BITS = 44  # a place is slab number · 2⁴⁴ + offset, so that blocks of two slabs never look like neighbours


class Arena:
    """`empty(shape, dtype)` as numpy's, from memory that was used before where there is some. For any thread.

    size: bytes of its slabs; in_use: those of living arrays; peak: the most that were in use; made: arrays given out.
    """

    def __init__(self, slab=SLAB):
        self.slab, self.slabs = slab, []
        self.free = []  # (size, place) in order: the first one that is large enough fits best
        self.size_at, self.start_of = {}, {}  # {place: size} and {place of its end: place} of free blocks
        self.leases, self.returned = set(), deque()
        self.lock = threading.Lock()
        self.in_use = self.peak = self.made = 0

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for n in shape:
            size *= n
        if size < SMALL:
            return np.empty(shape, dtype)
        size = -(-size // ALIGN) * ALIGN
        with self.lock:
            place = self._take(size)
        number, offset = divmod(place, 1 << SLAB_BITS)
        # a slab is no ndarray: a view of the array then keeps the array itself alive, and not just the slab
        array = np.ndarray(shape, dtype, self.slabs[number], offset)
        lease = Lease(array, self.returned.append)  # a deque: this may be called at any instant, from any thread
        lease.place, lease.size = place, size
        self.leases.add(lease)
        return array

    @property
    def size(self):
        return sum(len(slab) for slab in self.slabs if slab is not None)

    def trim(self):
        """Give the slabs back that nobody uses a byte of."""
        with self.lock:
            self._settle()
            for number, slab in enumerate(self.slabs):
                start = number << SLAB_BITS
                if slab is not None and self.size_at.get(start) == len(slab):
                    self._remove(start)
                    self.slabs[number] = None

    # blocks

    def _take(self, size):
        if self.returned:
            self._settle()
        i = bisect_left(self.free, (size, 0))
        if i == len(self.free):
            self._grow(size)
            i = bisect_left(self.free, (size, 0))
        found, place = self.free[i]
        self._remove(place)
        if found > size:
            self._add(place + size, found - size)
        self.in_use += size
        self.peak = max(self.peak, self.in_use)
        self.made += 1
        return place

    def _grow(self, size):
        size = -(-max(size, self.slab) // HUGE) * HUGE
        slab = mmap.mmap(-1, size, **PRIVATE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                slab.madvise(mmap.MADV_HUGEPAGE)
        self._add(len(self.slabs) << SLAB_BITS, size)
        self.slabs.append(slab)

    def _settle(self):
        """Put the blocks that came back among the free ones, each joined with its free neighbours."""
        while self.returned:
            lease = self.returned.popleft()
            self.leases.discard(lease)
            place, size = lease.place, lease.size
            self.in_use -= size
            if place + size in self.size_at:
                size += self._remove(place + size)
            if place in self.start_of:
                place = self.start_of[place]
                size += self._remove(place)
            self._add(place, size)

    def _add(self, place, size):
        insort(self.free, (size, place))
        self.size_at[place], self.start_of[place + size] = size, place

    def _remove(self, place):
        size = self.size_at.pop(place)
        del self.start_of[place + size]
        del self.free[bisect_left(self.free, (size, place))]
        return size


class Lease(weakref.ref):
    """Tells when an array is gone, and where its memory was."""

    __slots__ = ("place", "size")
    __hash__ = object.__hash__
    __eq__ = object.__eq__


ARENA = Arena()
empty = ARENA.empty
