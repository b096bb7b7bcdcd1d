"""What has happened on the GPU that is not there: counted, and refused where it must not happen."""

from contextlib import contextmanager
from dataclasses import dataclass, fields

from .memory import alias


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
    graphs: int = 0  # CUDA graphs launched: what they start is no launch of its own

    def __sub__(self, before):
        return Counts(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))


class Device:
    """What has happened on the GPU that is not there, and what is allowed now."""

    def __init__(self):
        self.counts, self.allowed = Counts(), "all"
        self.stream = self.pool = None  # those of this moment: stream.py and pool.py set them

    @property
    def graph(self):
        """The graph that is captured now, on the current stream."""
        return self.stream.graph

    def start(self, kind, function, *arguments, **options):
        """A kernel, or a copy from the GPU to the GPU: what function(*arguments) does."""
        if self.graph:
            self.graph.work.append((kind, function, alias(arguments), alias(options)))
            return
        self.counts.launches += 1
        self.stream.come_to(self.stream.put)
        function(*arguments, **options)

    def product(self):
        """One of cuBLAS begins."""
        if self.allowed == "capture" or self.graph:
            raise CaptureRefused("cuBLAS: cupy refuses its matrix products while a stream is captured")
        self.counts.products += 1

    def own_product(self, kernel):
        """One of our own binding to cublasLt: a kernel as any other, which may be captured."""
        if not self.graph:
            self.counts.products += 1
        self.start("cublasLt", kernel)

    def upload(self, array):
        if self.allowed == "capture" or self.graph:
            raise CaptureRefused("a copy to the GPU: the current stream is capturing")
        self.counts.uploads += 1
        self.counts.bytes += array.nbytes

    def download(self, array, how):
        self.refuse_in_capture(how)
        self.stream.come_to(self.stream.put)
        if self.allowed == "step":
            raise HiddenSynchronisation(f"{how} waits for the GPU, inside a step")
        self.counts.downloads += 1
        self.counts.bytes += array.nbytes


    def synchronize(self):
        self.stream.synchronize()

    def refuse_in_capture(self, how):
        """For what waits: the capture is lost, too."""
        if self.graph:
            self.graph.broken = True
        if self.allowed == "capture" or self.graph:
            raise CaptureRefused(f"{how}: the current stream is capturing")

    def poison(self, pool, block):
        """A block that nobody sees any more; in a graph that owns it, whenever it comes so far."""
        if self.graph and self.graph.pool is pool:
            self.graph.work.append((None, block.fill, (255,), {}))
        else:
            block.fill(255)


DEVICE = Device()


@contextmanager
def allowing(what):
    before, DEVICE.allowed = DEVICE.allowed, what
    try:
        yield
    finally:
        DEVICE.allowed = before
