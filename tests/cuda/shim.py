"""Runs kernels in CUDA C++ on the CPU: g++ compiles them through the headers in shim/, numpy arrays are their memory.

    kernels = compiled(source("layer_norm"), options("float32"))
    kernels["layer_norm_forward"](grid, block, [y, mean, rstd, x, None, None, np.int32(7), …], shared=0)

An argument must be of the very type the kernel declares. What goes wrong inside is a ShimError: a deadlock, a divergent
barrier or warp, an address outside guarded memory (tests/fake_cupy/memory.py), a misaligned one, an index outside its
array, no end in a minute. What it cannot see: a __threadfence too few, and what only other hardware than a CPU does.
Threads and blocks run in an order drawn from a seed, another one each launch, the same ones each run.
"""

import ctypes
import getpass
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock

import numpy as np

HEADERS = Path(__file__).parent / "shim"
FLAGS = ("-x", "c++", "-std=gnu++17", "-O1", "-g1", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{HEADERS}",
         "-DSHIM", "-DSHIM_SECONDS=60", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing", "-ffp-contract=off",
         "-fsanitize=alignment,bounds", "-fsanitize-undefined-trap-on-error",
         "-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-sign-compare",
         "-Wno-parentheses")  # fmt: skip
KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\(.*?\)\s+)?(\w+)\(')
ONE_AT_A_TIME = Lock()  # a library's threads are its static variables
seeds = count()


class ShimError(RuntimeError):
    """A kernel did what it must not do on a GPU either."""


def compiler():
    """g++, where there is one and Linux, whose signals, stacks and thread-local memory the headers know."""
    return shutil.which("g++") if sys.platform == "linux" else None


@cache
def compiled(code, options=()):
    """{name: Kernel} of a CUDA source; options as NVRTC's, of which g++ hears the definitions."""
    names = KERNEL.findall(code)
    text = '#include "launch.h"\nnamespace {\n' + code + "\n}\n" + "".join(f"KERNEL({name})\n" for name in names)
    library = ctypes.CDLL(_library(text, tuple(o for o in options if o.startswith(("-D", "-U")))))
    return {name: Kernel(library, name) for name in names}


def cache_folder():
    """Where what was compiled is kept from one run to the next."""
    folder = Path(tempfile.gettempdir()) / f"tinyllm-shim-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    return folder


def _library(text, definitions):
    """The path of the shared library, which is made where there is none of the same text, headers and flags."""
    flags = (*FLAGS, *definitions)
    headers = b"".join(path.read_bytes() for path in sorted(HEADERS.glob("*.h")))
    digest = hashlib.sha256(repr((text, flags)).encode() + headers).hexdigest()[:24]
    path = cache_folder() / f"{digest}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            made = Path(work) / "made.so"
            result = subprocess.run([compiler(), *flags, "-", "-o", str(made)], input=text, text=True,
                                    capture_output=True)  # fmt: skip
            if result.returncode:
                raise ShimError(f"g++ does not compile this:\n{result.stderr}")
            os.replace(made, path)
    return str(path)


class Kernel:
    """One kernel of a shared library: its name and the types of its arguments, as "f4* bf16* i4"."""

    def __init__(self, library, name):
        self.name, self._launch = name, getattr(library, f"shim_launch_{name}")
        types = getattr(library, f"shim_types_{name}")
        self._launch.restype = types.restype = ctypes.c_char_p
        self._launch.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_ulonglong)
        self.types = types().decode().split()

    def __call__(self, grid, block, args, shared=0, seed=None):
        sizes = [*grid, 1, 1][:3] + [*block, 1, 1][:3]
        self._check(sizes, args, shared)
        values = [self._bytes(i, x) for i, x in enumerate(args)]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        with ONE_AT_A_TIME:
            fault = self._launch((ctypes.c_uint * 6)(*sizes), shared, pointers, next(seeds) if seed is None else seed)
        if fault:
            raise ShimError(f"{self.name}: {fault.decode()}")

    def _check(self, sizes, args, shared):
        threads, most = np.prod(sizes[3:]), (2**31 - 1, 65535, 65535, 1024, 1024, 64)
        if min(sizes) < 1 or threads > 1024 or any(n > m for n, m in zip(sizes, most)) or shared > 227 << 10:
            raise ShimError(f"{self.name}: no GPU has a grid of {sizes[:3]} blocks of {sizes[3:]} threads and {shared} "
                            "bytes of shared memory")
        if len(args) != len(self.types):
            raise ShimError(f"{self.name} takes {len(self.types)} arguments, got {len(args)}")

    def _bytes(self, i, x):
        """An array that holds what the argument's pointer is to point at: a number, or an array's address."""
        kind = self.types[i]
        if not kind.endswith("*"):
            if isinstance(x, np.generic) and code(x.dtype) == kind:
                return np.array(x)
        elif x is None or isinstance(x, np.uint64) and x == 0:
            return np.zeros(1, np.uint64)
        elif isinstance(x, np.ndarray) and kind in ("*", code(x.dtype) + "*", "u1*" if x.dtype == bool else None):
            return np.array(x.ctypes.data, np.uint64)
        got = x.dtype if isinstance(x, (np.generic, np.ndarray)) else type(x).__name__
        raise ShimError(f"{self.name}: argument {i} is {kind}, got {got}")


def code(dtype):
    return "bf16" if dtype.name == "bfloat16" else dtype.str[1:]
