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
    start = int(_key(seed, step, site)[0]) + int(first) * math.prod(shape[1:]) * GOLDEN & MASK
    return _bits_from(np.uint64(start), shape, xp)


def _key(seed, step, site):
    key = np.zeros(1, np.uint64)
    for part in (seed, step, site):
        part = part if isinstance(part, np.ndarray) else np.uint64(int(part) & MASK)
        key = _mix(key + np.uint64(GOLDEN) + part)  # + GOLDEN: mix(0) would be 0
    return key


def _bits_from(start, shape, xp):
    i = xp.arange(math.prod(shape), dtype=np.uint64)
    return _mix(i * np.uint64(GOLDEN) + start).reshape(shape)


def threshold(p):
    """Bits below it drop an element: a share p of all there are."""
    return np.uint64(min(round(p * 2**64), MASK))


SITES = 1024  # of a table of counters


def mask_counters(seed, step, first=0, start=0):
    """What the masks of a step are drawn from, as data, for a step that runs again and again as one CUDA graph.

    seed, step, first  ->  counters (SITES, 2) uint64: of the sites from `start` on, key (see `random_bits`) and first
    """
    counters = np.full((SITES, 2), first, np.uint64)
    counters[:, 0] = _key(seed, step, np.arange(start, start + SITES, dtype=np.uint64))
    return counters


class DropoutStream:
    """The masks of one training step: the first one asked for has site 0, the next one site 1, …

    counters: `mask_counters` of the step, where a mask is to be drawn from what stands there when it is drawn.
    """

    def __init__(self, seed, step=0, first=0, counters=None):
        self.seed, self.step, self.first, self.counters, self.site = seed, step, first, counters, 0
        self.table = self.page = None  # counters that were sent to a GPU, and how many tables come before

    def keep(self, shape, p, xp=np):
        """A mask that is False with probability p.

        shape (N, ...)  ->  keep (N, ...) bool
        """
        if self.counters is not None:
            key, first = self.counter().reshape(2, 1)  # arrays: they wrap around at 2⁶⁴
            bits = _bits_from(first * np.uint64(math.prod(shape[1:]) * GOLDEN & MASK) + key, shape, xp)
        else:
            bits = random_bits(shape, seed=self.seed, step=self.step, site=self.site, first=self.first, xp=xp)
            self.site += 1
        return bits >= threshold(p)

    def counter(self, xp=np):
        """The counters of the next mask, for a kernel of xp that draws it itself; None on numpy, if it was given none.

        ->  counter (2) uint64: element i of the mask stays where mix(key + (first · size of a row + i) · G) is at
        least `threshold(p)`
        """
        if self.counters is None:
            return None if xp is np else self._sent(xp)
        if self.site == SITES:
            raise RuntimeError(f"a training step may draw {SITES} dropout masks here; --graph off has no such limit")
        self.site += 1
        return self.counters[self.site - 1]

    def _sent(self, xp):
        page, row = divmod(self.site, SITES)
        if page != self.page:
            self.table = xp.asarray(mask_counters(self.seed, self.step, self.first, page * SITES))
            self.page = page
        self.site += 1
        return self.table[row]


_default = {}  # what `manual_seed` made
_stream = ContextVar("tinyllm.dropout", default=None)
_generator = ContextVar("tinyllm.generator", default=None)


@contextmanager
def dropout_step(seed, step, first=0, counters=None):
    """Inside, dropout masks depend on (seed, step) and on their order alone; first: rows of the batch before these.

    counters: as of a DropoutStream, where they are on the GPU."""
    token = _stream.set(DropoutStream(seed, step, first, counters))
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
