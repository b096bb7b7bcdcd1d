"""What the host sends to the GPU in every step, through pinned memory: from there a copy goes on by itself."""

import numpy as np


def pinned(shape, dtype):
    """An array of the host that the GPU can read and write."""
    import cupyx

    return cupyx.empty_pinned(shape, dtype)


class Upload:
    """An array of the GPU, at one address for good, that the host writes anew before each step.

    The copy is put on the current stream and is done when its turn comes. What it reads is one of two pinned arrays,
    so the host is at most two steps ahead.
    """

    def __init__(self, shape, dtype):
        import cupy

        self.cupy = cupy
        self.array = cupy.empty(shape, dtype)
        self.slots = [(pinned(shape, dtype), cupy.cuda.Event(disable_timing=True)) for _ in range(2)]

    def write(self, array):
        """self.array ← array, of the host, when the GPU has come so far."""
        self.slots.reverse()
        host, copied = self.slots[0]
        copied.synchronize()  # the copy before the last one: `host` may be written to
        host[...] = array
        stream = self.cupy.cuda.get_current_stream()
        self.array.set(host, stream=stream)
        stream.record(copied)


class Feed:
    """The arrays of a batch, at one address for good; they come on a stream of their own while the GPU works.

    A batch goes from the host to pinned memory, from there, on the second stream, to one of two places on the GPU, and
    when its step is about to begin to `arrays`, which the step reads.
    """

    def __init__(self, arrays):
        import cupy

        self.cupy, self.stream = cupy, cupy.cuda.Stream(non_blocking=True)
        self.arrays = [cupy.empty(a.shape, a.dtype) for a in arrays]
        self.kind = kind(arrays)
        event = cupy.cuda.Event
        self.slots = [
            ([pinned(a.shape, a.dtype) for a in arrays], [cupy.empty(a.shape, a.dtype) for a in arrays],
             event(disable_timing=True), event(disable_timing=True))
            for _ in range(2)
        ]  # fmt: skip

    def send(self, arrays):
        """self.arrays ← arrays, of the host, when the current stream has come so far."""
        self.slots.reverse()
        pinned, places, copied, taken = self.slots[0]
        copied.synchronize()
        self.stream.wait_event(taken)
        for array, host, place in zip(arrays, pinned, places, strict=True):
            host[...] = array
            place.set(host, stream=self.stream)
        self.stream.record(copied)
        main = self.cupy.cuda.get_current_stream()
        main.wait_event(copied)
        for array, place in zip(self.arrays, places):
            array[...] = place
        main.record(taken)

    def close(self):
        """Wait until nothing of it is on its way."""
        self.stream.synchronize()


def kind(arrays):
    """What two batches must have in common to go the same way."""
    return [(a.shape, np.dtype(a.dtype).name) for a in arrays]
