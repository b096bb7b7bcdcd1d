"""Kernels that take an array as numbers one after the other, whatever its shape: each thread has a few neighbours."""

import numpy as np

from .compile import launch, packed

THREADS = 256  # of a block


def over_numbers(subject, name, dtype, n, arrays, *args, rows=1, aligned=0):
    """Launch a kernel of arrays of n numbers: (*arrays, n, *args, packed), one thread 16 bytes of `dtype`.

    rows: how many of those n an array may have, for gridDim.y; aligned: a number of numbers after which arrays are
    aligned as at their start, where a kernel needs that.
    """
    if n:
        per_block = THREADS * 16 // np.dtype(dtype).itemsize
        launch(subject, name, dtype, (-(-n // per_block), rows), (THREADS,), *arrays, np.int64(n), *args,
               packed(aligned, *arrays))  # fmt: skip
