"""What a run, or this installation, runs on."""

import importlib.metadata
import os
import platform
import sys

import numpy as np

from .. import __version__
from ..backend import BACKENDS, card


def environment(config):
    """The versions and the machine behind the numbers of a run."""
    owners = importlib.metadata.packages_distributions()  # cupy comes under several names
    found = {name: importlib.metadata.version(owners[name][0]) for name in (*BACKENDS, "safetensors") if name in owners}
    return {
        "tinyllm": __version__,
        "python": platform.python_version(),
        **found,
        "blas": blas(),
        "backend": config.backend,
        "precision": config.precision,
        **({} if config.backend == "numpy" else card()),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": memory_bytes() and round(memory_bytes() / 1e9, 1),
    }


def blas():
    """The library that makes numpy's matrix products."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def processor():
    """The name of the CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory_bytes(backend="numpy"):
    """The memory of the GPU, of this machine, or of the container this runs in; None where it cannot be told."""
    if backend != "numpy":
        return card()["gpu_memory_bytes"]
    if sys.platform == "win32":
        return None
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                sizes.append(int(file.read()))
        except (OSError, ValueError):  # no such control group, or "max"
            pass
    return min(sizes)
