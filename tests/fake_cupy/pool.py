"""cupy's memory pools: what is freed is given out again, so whoever still writes there spoils another's numbers.

A block that nobody sees any more is poisoned, also in each replay of a graph in which it was freed.
"""

import ctypes
import math
import weakref
from collections import defaultdict

import numpy as np

from .device import DEVICE
from .memory import ALIGNED, guarded

ROUND = 512  # bytes: sizes are multiples, as in cupy


class MemoryHook:
    """Hears, inside `with`, of what pools take from the driver."""

    heard = []

    def __enter__(self):
        self.heard.append(self)
        return self

    def __exit__(self, *error):
        self.heard.remove(self)

    def alloc_postprocess(self, **kwargs):
        pass


class MemoryPool:
    """Blocks of memory, each given out to one array (and its views) at a time."""

    def __init__(self, allocator=None):
        self.free = defaultdict(list)  # {size: blocks}
        self.leases, self.blocks = set(), []
        self.used = self.total = self.allocations = 0

    def malloc(self, size):
        raise NotImplementedError("the stand-in makes arrays, not pointers; it wants the pool that malloc belongs to")

    def array(self, shape, dtype):
        """An array of poison."""
        dtype, shape = np.dtype(dtype), tuple(shape) if np.iterable(shape) else (shape,)
        size = max(-(-math.prod(shape) * dtype.itemsize // ROUND), 1) * ROUND
        self.allocations += 1
        self.used += size
        block = self.free[size].pop() if self.free[size] else self._more(size)
        start = size - -(-math.prod(shape) * dtype.itemsize // ALIGNED) * ALIGNED  # what comes behind is forbidden
        memory = (ctypes.c_char * size).from_address(block.ctypes.data)  # no ndarray: views keep the array alive, then
        memory.block = block  # it stays while an array is in it, also where the pool is gone
        array = np.ndarray(shape, dtype, memory, start)
        lease = Lease(array, self._returned)
        lease.block, lease.size = block, size
        self.leases.add(lease)
        return array

    def _more(self, size):
        self.total += size
        self.blocks.append(guarded(size, np.uint8))
        for hook in MemoryHook.heard:
            hook.alloc_postprocess(device_id=0, mem_size=size, mem_ptr=self.blocks[-1].ctypes.data)
        return self.blocks[-1]

    def _returned(self, lease):
        self.leases.discard(lease)
        self.used -= lease.size
        self.free[lease.size].append(lease.block)
        if DEVICE:  # the interpreter is not ending
            DEVICE.poison(self, lease.block)

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return self.total

    def free_all_blocks(self):
        self.total -= sum(size * len(blocks) for size, blocks in self.free.items())
        self.free.clear()


class Lease(weakref.ref):
    """Tells when an array and all views of it are gone."""

    __slots__ = ("block", "size")
    __hash__ = object.__hash__
    __eq__ = object.__eq__
