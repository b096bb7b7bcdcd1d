"""A function that always starts the same kernels: as it is the first time, then captured, and from then on replayed."""

import logging
from functools import cache

from .graph import Lane

LOG = logging.getLogger("tinyllm")


def stream():
    """The stream to capture on, the same for all: what kernels keep for each stream is kept once."""
    import cupy

    return _stream(cupy, cupy.cuda.runtime.getDevice())


@cache
def _stream(cupy, device):
    return cupy.cuda.Stream(non_blocking=True)


class Replay:
    """run() again and again, and from the third time on as one CUDA graph, on whatever stream is the current one.

    run reads and writes arrays that stay where they are for as long as this lives, copies nothing from or to the host
    and waits for nothing. Where it cannot be captured it goes on as it is; `why_not` and the log say why.
    """

    def __init__(self, run, name):
        self.run, self.name, self.lane = run, name, Lane(stream())
        self.graph, self.warm, self.why_not = None, False, None

    def __call__(self):
        if not self.warm:
            with self.lane, self.lane.memory():
                self.run()
            self.warm = True
            return
        if not self.graph and not self.why_not:
            self.capture()
        (self.graph.launch if self.graph else self.run)()

    def capture(self):
        try:
            with self.lane:
                self.graph = self.lane.capture(self.run)
        except Exception as error:  # whatever it is that cannot be captured, kernel by kernel it works
            self.why_not = f"{type(error).__name__}: {error}".partition("\n")[0]
            LOG.warning("the kernels of %s are started one by one, and not as one CUDA graph: %s", self.name,
                        self.why_not)  # fmt: skip
