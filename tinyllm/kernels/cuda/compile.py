"""CUDA sources: compiled by cupy at first use, once for each dtype, and launched on the current stream."""

import re
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from ...backend import array_module

HERE = Path(__file__).parent
REAL = {"float32": "float", "bfloat16": "bf16"}  # the dtypes there are kernels for, as CUDA C++ says them
OPTIONS = ("-std=c++17",)


@cache
def source(subject):
    """common.cuh and subject.cu as one text, in which a compiler's messages name the right file and line."""
    return text_of(HERE / "common.cuh") + text_of(HERE / f"{subject}.cu")


def text_of(path):
    """A source, with those beside it that it includes: NVRTC looks for no files."""
    lines = [f'#line 1 "{path.name}"']
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        included = re.fullmatch(r'#include "(\w+\.cuh)"', line)
        lines.append(f'{text_of(path.parent / included[1])}#line {number + 1} "{path.name}"' if included else line)
    return "\n".join(lines) + "\n"


def options(dtype, define=()):
    """What the compiler is told for arrays of `dtype`."""
    return (*OPTIONS, f"-DREAL={REAL[dtype]}", *(f"-D{name}" for name in define))


def launch(subject, name, dtype, grid, block, *args, shared=0, define=()):
    """Start kernel `name` of subject.cu, for arrays of `dtype`, with grid blocks of block threads (tuples both).

    args: arrays, C-contiguous; None, a null pointer; numpy scalars of exactly the type the kernel declares.
    shared: bytes of dynamic shared memory. define: what the source leaves open, as ("D=64",): compiled for each anew.
    """
    function(subject, name, dtype, shared, define)(grid, block, tuple(map(_argument, args)), shared_mem=shared)


def function(subject, name, dtype, shared=0, define=()):
    """The cupy.RawKernel of that name, allowed to use that much dynamic shared memory."""
    import cupy

    return _function(cupy, cupy.cuda.runtime.getDevice(), subject, name, np.dtype(dtype).name, shared, define)


@cache
def _module(cupy, subject, dtype, define):
    return cupy.RawModule(code=source(subject), options=options(dtype, define))


@cache
def _function(cupy, device, subject, name, dtype, shared, define):
    kernel = _module(cupy, subject, dtype, define).get_function(name)
    if shared:  # more than the usual is to be asked for; what an earlier launch was allowed stays allowed
        kernel.max_dynamic_shared_size_bytes = max(shared, kernel.max_dynamic_shared_size_bytes)
    return kernel


def _argument(x):
    if x is None:
        return np.uint64(0)
    if isinstance(x, np.generic):
        return x
    if not x.flags.c_contiguous:
        raise ValueError(f"a kernel's array must be C-contiguous, this {x.shape} one is not: see contiguous()")
    return x


def contiguous(x):
    """x, or a C-contiguous copy of it."""
    return x if x.flags.c_contiguous else array_module(x).ascontiguousarray(x)  # which would give one of () an axis


def packed(C, *arrays):
    """Whether rows of C numbers of all these arrays can be read in packs of 128 bits (load and store in common.cuh)."""
    arrays = [array for array in arrays if array is not None]
    whole = all(C * array.itemsize % 16 == 0 and array.data.ptr % 16 == 0 for array in arrays)
    return np.int32(whole)


def processors():
    """How many multiprocessors the GPU has: blocks beyond a few times that number wait for others to end."""
    import cupy

    return _processors(cupy, cupy.cuda.runtime.getDevice())


@cache
def _processors(cupy, device):
    return cupy.cuda.Device(device).attributes["MultiProcessorCount"]


def counters(count):
    """At least `count` integers that are 0, for kernels that count blocks and leave 0 behind: one array a stream."""
    import cupy

    stream = cupy.cuda.get_current_stream().ptr
    return _counters(cupy, cupy.cuda.runtime.getDevice(), stream, 1 << max(10, (count - 1).bit_length()))


@cache
def _counters(cupy, device, stream, count):
    with lasting(cupy):
        return cupy.zeros(count, "int32")


@contextmanager
def lasting(cupy):
    """Inside, arrays lie in cupy's own memory, so that they can outlive a graph's: that is freed under whoever keeps
    an array of it."""
    with cupy.cuda.using_allocator(cupy.get_default_memory_pool().malloc):
        yield
