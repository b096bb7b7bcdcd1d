"""Work that is captured once, as a CUDA graph, and then started in one go."""

from contextlib import contextmanager, suppress


class Lane:
    """`with Lane() as lane:` what runs on the GPU runs on a stream of its own, in order, which can be captured.

    What is captured has memory of its own: its addresses are part of the graph, so nobody else's arrays may ever come
    to lie there. An array that was made in `memory` must not outlive the work, but for one that was made before it.
    """

    def __init__(self, stream=None):
        import cupy

        self.cuda = cupy.cuda
        self.stream = stream or self.cuda.Stream(non_blocking=True)  # a blocking one would wait for the default stream
        self.pool = self.cuda.MemoryPool()

    def __enter__(self):
        self.cuda.runtime.deviceSynchronize()  # what was begun on another stream is there
        self.stream.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.stream.synchronize()
        finally:
            self.stream.__exit__(*error)

    @contextmanager
    def memory(self):
        """Inside, arrays are made in the memory that belongs to the graph."""
        with self.cuda.using_allocator(self.pool.malloc):
            yield

    def capture(self, run):
        """The CUDA graph of what run() starts, which does not run. Call run() itself before, once or more, in `memory`:
        so kernels are compiled and memory is there. Where it cannot be captured, what run raised is raised."""
        self.stream.synchronize()
        with self.memory():
            self.stream.begin_capture()
            try:
                run()
            except BaseException:
                with suppress(Exception):  # it says that the capture is lost
                    self.stream.end_capture()
                raise
            graph = self.stream.end_capture()
        graph.upload(self.stream)
        return graph
