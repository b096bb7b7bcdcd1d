"""Streams, events and CUDA graphs. Kernels run at once; copies from and to pinned memory as late as they may.

A graph holds what was started while its stream was captured, and runs it again, on the same addresses.
"""

from collections import Counter, deque
from contextlib import contextmanager
from itertools import count

from .device import DEVICE, CaptureRefused

_numbers = count(1 << 20, 64)


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.stream, self.mark = None, 0

    def record(self, stream=None):
        (stream or DEVICE.stream).record(self)

    def synchronize(self):
        DEVICE.refuse_in_capture("Event.synchronize()")
        if self.stream:
            self.stream.come_to(self.mark)

    @property
    def done(self):
        return self.stream is None or self.stream.done_copies >= self.mark


class Stream:
    """`ptr` of the default stream, Stream.null, is 0."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr, self.non_blocking = 0 if null else next(_numbers), non_blocking
        self.copies, self.put, self.done_copies = deque(), 0, 0
        self.graph, self.before = None, []

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def __enter__(self):
        self.before.append(DEVICE.stream)
        DEVICE.stream = self
        return self

    def __exit__(self, *error):
        DEVICE.stream = self.before.pop()

    def use(self):
        DEVICE.stream = self
        return self

    # copies that wait for their turn

    def later(self, copy):
        self.copies.append(copy)
        self.put += 1

    def come_to(self, mark):
        while self.done_copies < mark:
            self.copies.popleft()()
            self.done_copies += 1

    def synchronize(self):
        DEVICE.refuse_in_capture("synchronize()")
        self.come_to(self.put)

    @property
    def done(self):
        DEVICE.refuse_in_capture("Stream.done")
        return not self.copies

    def record(self, event=None):
        event = event or Event()
        event.stream, event.mark = self, self.put
        return event

    def wait_event(self, event):
        if event.stream:
            event.stream.come_to(event.mark)

    # graphs

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if not self.non_blocking:
            raise CaptureRefused("what is on the default stream would be lost: cudaErrorStreamCaptureImplicit")
        self.come_to(self.put)
        self.graph = Graph(DEVICE.pool)

    def end_capture(self):
        graph, self.graph = self.graph, None
        if graph is None or graph.broken:
            raise CaptureRefused("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return graph

    def is_capturing(self):
        return self.graph is not None


Stream.null = Stream(null=True)
DEVICE.stream = Stream.null


class Graph:
    """work: (kind, function, arguments) of all that was started; kinds: how often each."""

    def __init__(self, pool):
        self.pool, self.work, self.broken = pool, [], False

    @property
    def kinds(self):
        return Counter(kind for kind, *_ in self.work if kind)

    def launch(self, stream=None):
        stream = stream or DEVICE.stream
        DEVICE.refuse_in_capture("Graph.launch() here")
        stream.come_to(stream.put)
        DEVICE.counts.graphs += 1
        for _, function, arguments, options in self.work:
            function(*arguments, **options)

    def upload(self, stream=None):
        pass

    def debug_dot_str(self, flags=0):
        return "\n".join(kind for kind, *_ in self.work if kind)


@contextmanager
def using_allocator(allocator=None):
    pool = getattr(allocator, "__self__", None)
    before, DEVICE.pool = DEVICE.pool, pool
    try:
        yield
    finally:
        DEVICE.pool = before
