"""How much of the GPU's memory a library took from the driver: what its pools hold, used or kept for later."""

from contextlib import contextmanager


@contextmanager
def taken_by(name):
    """Inside, taken() gives the most bytes that a library has taken; of a second library in one process the first has
    to give its memory back before."""
    if name == "tinyllm":
        with pools() as taken:
            yield taken
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        yield torch.cuda.max_memory_reserved
    else:
        yield int


@contextmanager
def pools():
    """Bytes that any of cupy's pools asks the driver for, the pools of graphs too."""
    import cupy

    class Taken(cupy.cuda.MemoryHook):
        name, nbytes = "taken", 0

        def alloc_postprocess(self, *, device_id, mem_size, mem_ptr):
            self.nbytes += mem_size if mem_ptr else 0

    with Taken() as hook:
        yield lambda: hook.nbytes
