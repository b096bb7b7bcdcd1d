"""Random numbers, of two kinds.

`generator()` draws one number after the other: initial weights, shuffled data. Always numpy's, so that both backends
start from the same weights.

`random_bits` computes the bits of element i from (seed, step, site, i): nothing is drawn, nothing has a state. So a
dropout mask is the same on numpy and cupy, after a resume, and for a worker that computes only its part of the batch.
"""

import math
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2⁶⁴ / golden ratio: an odd number whose multiples are spread evenly
MASK = 2**64 - 1


def _mix(z):
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of z moves about half of the 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # uint64 arrays wrap around at 2⁶⁴
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_bits(shape, *, seed, step=0, site=0, first=0, xp=np):
    """Element i gets mix(key + i · G), 64 bits, G = GOLDEN; key = mix(mix(mix(seed + G) + step + G) + site + G)

    step: which training step; site: which of its masks. `first` is the number of rows (axis 0) of the whole batch
    that come before this part of it.

    shape (N, ...)  ->  bits (N, ...) uint64
    """
    key = np.zeros(1, np.uint64)
    for part in (seed, step, site):
        key = _mix(key + np.uint64(GOLDEN) + np.uint64(int(part) & MASK))  # + GOLDEN: mix(0) would be 0
    start = int(key[0]) + int(first) * math.prod(shape[1:]) * GOLDEN & MASK
    i = xp.arange(math.prod(shape), dtype=np.uint64)
    return _mix(i * np.uint64(GOLDEN) + np.uint64(start)).reshape(shape)


class DropoutStream:
    """The masks of one training step: the first one asked for has site 0, the next one site 1, …"""

    def __init__(self, seed, step=0, first=0):
        self.seed, self.step, self.first, self.site = seed, step, first, 0

    def keep(self, shape, p, xp=np):
        """A mask that is False with probability p.

        shape (N, ...)  ->  keep (N, ...) bool
        """
        bits = random_bits(shape, seed=self.seed, step=self.step, site=self.site, first=self.first, xp=xp)
        self.site += 1
        return bits >= np.uint64(min(round(p * 2**64), MASK))


_default = {}  # what `manual_seed` made
_stream = ContextVar("tinyllm.dropout", default=None)
_generator = ContextVar("tinyllm.generator", default=None)


@contextmanager
def dropout_step(seed, step, first=0):
    """Inside, dropout masks depend on (seed, step) and on their order alone; first: rows of the batch before these."""
    token = _stream.set(DropoutStream(seed, step, first))
    try:
        yield
    finally:
        _stream.reset(token)


def dropout_stream():
    """The stream that masks come from here: that of the surrounding `dropout_step`, else one that runs on and on."""
    return _stream.get() or _default["stream"]


@contextmanager
def draw_from(seed):
    """Inside, `generator()` is one that starts from `seed`; outside, nothing is moved on."""
    token = _generator.set(np.random.default_rng(seed))
    try:
        yield
    finally:
        _generator.reset(token)


def generator():
    """The generator to draw from here: that of the surrounding `draw_from`, else the one `manual_seed` made."""
    return _generator.get() or _default["generator"]


def manual_seed(seed):
    """Start every draw that names no seed of its own (initial weights, rand, shuffling, dropout) from `seed`."""
    _default.update(generator=np.random.default_rng(seed), stream=DropoutStream(seed))


manual_seed(0)
