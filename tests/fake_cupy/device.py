"""What has happened on the GPU that is not there: counted, and refused where it must not happen."""

from contextlib import contextmanager
from dataclasses import dataclass, fields


class HiddenSynchronisation(RuntimeError):
    """The CPU would wait for the GPU where a training step must not."""


class CaptureRefused(RuntimeError):
    """A CUDA graph cannot hold this: cupy raises, and the capture is lost."""


@dataclass
class Counts:
    launches: int = 0  # calls that start at least one kernel
    products: int = 0  # of them, those of cuBLAS
    uploads: int = 0  # copies to the GPU
    downloads: int = 0  # copies from it, for each of which the CPU waits
    bytes: int = 0  # copied, both ways

    def __sub__(self, before):
        return Counts(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))


class Device:
    """What has happened on the GPU that is not there, and what is allowed now."""

    def __init__(self):
        self.counts, self.allowed = Counts(), "all"

    def launch(self):
        self.counts.launches += 1

    def product(self):
        if self.allowed == "capture":
            raise CaptureRefused("cuBLAS: cupy refuses its matrix products while a stream is captured")
        self.counts.launches += 1
        self.counts.products += 1

    def own_product(self):
        """One of our own binding to cublasLt: a kernel as any other, which may be captured."""
        self.counts.launches += 1
        self.counts.products += 1

    def upload(self, array):
        if self.allowed == "capture":
            raise CaptureRefused("a copy to the GPU: the current stream is capturing")
        self.counts.uploads += 1
        self.counts.bytes += array.nbytes

    def download(self, array, how):
        if self.allowed == "capture":
            raise CaptureRefused(f"{how}: the current stream is capturing")
        if self.allowed == "step":
            raise HiddenSynchronisation(f"{how} waits for the GPU, inside a step")
        self.counts.downloads += 1
        self.counts.bytes += array.nbytes


DEVICE = Device()


@contextmanager
def allowing(what):
    before, DEVICE.allowed = DEVICE.allowed, what
    try:
        yield
    finally:
        DEVICE.allowed = before
