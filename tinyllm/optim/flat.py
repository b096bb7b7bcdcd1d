"""AdamW where the optimizer owns its parameters: long vectors, moved in place.

The same numbers as adamw.py's up to rounding. What differs is where they live, and that a step allocates nothing.
"""

import ctypes
import math
import sys
from bisect import bisect_left, bisect_right
from contextlib import contextmanager, suppress

import numpy as np

from ..backend import backend_of
from ..observe import MODE
from ..places import ALONE
from .gradients import PlacedAdamW
from .optimizer import plain_numbers

BLOCK = 1 << 17  # numbers that are moved together: smaller ones cost threads more to take turns than the cache saves


class FlatAdamW(PlacedAdamW):
    """AdamW on numpy. Parameters, m and v are views of three vectors, group after group.

    A step writes to the vectors themselves. Where somebody else still sees one (an array that was kept, a graph that
    waits for its backward), it goes on in another, and what they see stays as it was. A gradient is an array that
    empty(shape, dtype) makes for its first share: with the arena of the kernels, it lies where the activations were
    that the backward has used up, and the activations of the next step lie where it was.
    """

    def __init__(self, params, empty=np.empty, **options):
        super().__init__(params, **options)
        self.params = [p for group in self.param_groups for p in group["params"]]
        dtypes = {p.dtype for p in self.params}
        if len(dtypes) > 1 or not all(isinstance(p.data, np.ndarray) for p in self.params):
            raise TypeError("FlatAdamW moves numpy parameters of one dtype; use AdamW for others")
        self.dtype, self.empty, self.scale = dtypes.pop(), empty, 1.0
        self.copies = 0  # how often somebody else saw the parameters
        self.fixed = False  # whether the vectors stay those they are, as other processes see them
        self.spread = lambda stretches: self.update_part(stretches, 0, 1)
        self.move_to(np.empty)
        self.gradients = SideBySide(self.p.places)

    def move_to(self, empty):
        """Make the vectors anew with empty(size, dtype), as where several processes are to see them."""
        self.fixed = empty is not np.empty
        self.p, self.m, self.v = (Vector(self.params, self.dtype, empty) for _ in range(3))
        self.adopt()
        trim_heap()

    @contextmanager
    def moved_to(self, empty):
        """Inside, the vectors are those of empty(size, dtype), a fourth one among them that gradients are to be put
        into: a Vector, which is given."""
        self.move_to(empty)
        g = Vector(self.params, self.dtype, empty)
        apart, self.gradients = self.gradients, g.array
        try:
            yield g
        finally:
            self.fixed, self.gradients = False, apart  # nobody else sees them any more

    @contextmanager
    def spread_over(self, spread):
        """Inside, steps have spread(stretches) call `update_part` for all parts."""
        before, self.spread = self.spread, spread
        try:
            yield
        finally:
            self.spread = before

    def adopt(self):
        """Take what a parameter or its state was set to since the last step (weights that were loaded)."""
        for p in self.params:
            state = self.state[p]
            p.data = self.p.take(p, p.data)
            state["m"], state["v"] = self.m.take(p, state["m"]), self.v.take(p, state["v"])

    # gradients

    def room(self, p):
        return self.empty(p.shape, p.dtype) if p in self.p.views else None

    def clip(self, max_norm):
        """The joint length of all gradients; the next step takes them times min(1, max_norm / (norm + 1e-6))."""
        if MODE.get().observers:
            return super().clip(max_norm)
        norm = math.sqrt(math.fsum(self.square_sum(start, stop) for start, stop, _ in self.stretches()))
        self.scale = min(1.0, max_norm / (norm + 1e-6))
        return norm

    def square_sum(self, start, stop):
        """Σ g² over a part of the gradients, block by block."""
        parts = (self.gradients[block] for block in blocks(start, stop))
        return math.fsum(float(np.dot(part, part)) for part in parts)

    # the step

    def step(self):
        """Move every parameter that has a gradient."""
        if MODE.get().observers:
            return super().step()
        self.adopt()
        if self.p.seen() and not self.fixed:
            self.p, self.copies = Vector(self.params, self.dtype, np.empty), self.copies + 1
            self.adopt()
        self.spread(self.stretches())
        for p in self.params:
            self.state[p]["step"] += p.grad is not None
        self.scale = 1.0

    def stretches(self):
        """(start, stop, options of adamw_) of parameters side by side that have a gradient and are moved alike."""
        found = []
        for group in self.param_groups:
            options = plain_numbers(group)
            for p in group["params"]:
                if p.grad is None:
                    continue
                check_fits(p.grad, p, "gradient")
                place = self.p.places[p]
                mine = {**options, "step": self.state[p]["step"] + 1, "scale": self.scale}
                if found and found[-1][1:] == (place.start, mine):
                    found[-1] = (found[-1][0], place.stop, mine)
                else:
                    found.append((place.start, place.stop, mine))
        return found

    def part(self, rank, n):
        """(start, stop) of the rank-th of n parts of the vectors, each of whole blocks."""
        blocks = -(-self.p.size // BLOCK)
        return blocks * rank // n * BLOCK, min(blocks * (rank + 1) // n * BLOCK, self.p.size)

    def update_part(self, stretches, rank, n):
        """Move what lies in the rank-th of n parts."""
        first, last = self.part(rank, n)
        scratch = np.empty(BLOCK, self.dtype)
        for start, stop, options in stretches:
            for block in blocks(max(start, first), min(stop, last)):
                p, m, v = (vector.array[block] for vector in (self.p, self.m, self.v))
                adamw_(p, self.gradients[block], m, v, scratch[: block.stop - block.start], **options)


def adamw_(p, g, m, v, t, *, step, scale, lr, betas, eps, weight_decay):
    """adamw in place, of gradients g · scale, in 13 passes over a block; t: a scratch of its size.

    m̂ / (√v̂ + ε) is written m · √c₂/c₁ / (√v + ε √c₂), with c₁ = 1 − β₁ᵗ and c₂ = 1 − β₂ᵗ.
    """
    beta1, beta2 = betas
    c1, root_c2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    np.multiply(g, (1 - beta1) * scale, out=t)
    m *= beta1
    m += t
    t *= t
    t *= (1 - beta2) / (1 - beta1) ** 2
    v *= beta2
    v += t
    np.sqrt(v, out=t)
    t += eps * root_c2
    np.divide(m, t, out=t)
    t *= lr * root_c2 / c1
    p *= 1 - lr * weight_decay
    p -= t


def blocks(start, stop):
    return (slice(i, min(i + BLOCK, stop)) for i in range(start, stop, BLOCK))


class SideBySide:
    """The gradients of all parameters as one vector to read slices of; what lies in several arrays comes as a copy."""

    def __init__(self, places):
        self.params, self.places = list(places), list(places.values())
        self.starts = [place.start for place in self.places]

    def __getitem__(self, block):
        first, last = bisect_right(self.starts, block.start) - 1, bisect_left(self.starts, block.stop)
        parts = [p.grad.reshape(-1)[max(block.start - place.start, 0) : block.stop - place.start]
                 for p, place in zip(self.params[first:last], self.places[first:last])]  # fmt: skip
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Vector:
    """One array for all parameters: `views[p]`, the part at `places[p]`, has the shape of p."""

    def __init__(self, params, dtype, empty):
        ends = np.cumsum([p.data.size for p in params]).tolist()
        self.size = ends[-1]
        self.array = empty(self.size, dtype)
        self.places = dict(zip(params, map(slice, [0, *ends], ends)))
        self.views = {p: self.array[place].reshape(p.shape) for p, place in self.places.items()}

    def take(self, p, data):
        """The view of p, with what is in data."""
        view = self.views[p]
        if data is not view:
            check_fits(data, view, "parameter")
            view[...] = data
        return view

    def seen(self):
        """Whether anybody but the parameters, who hold their own, sees the array, a view of it, or one of `views`."""
        if sys.getrefcount(self.array) > len(self.views) + ALONE:
            return True
        return max(map(sys.getrefcount, self.views.values())) > ALONE_AMONG_OTHERS + 1


def check_fits(data, p, what):
    if not isinstance(data, np.ndarray) or data.dtype != p.dtype or data.shape != p.shape:
        raise TypeError(f"FlatAdamW: a {what} of {p.shape} {p.dtype} became {data.shape} {data.dtype}"
                        f" on {backend_of(data)}; make a new optimizer")


def trim_heap():
    """Have glibc give free memory back to the system: it would keep that of the arrays that parameters were made in."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, another system
        ctypes.CDLL(None).malloc_trim(0)


_probe = {0: np.empty(0)}
ALONE_AMONG_OTHERS = max(map(sys.getrefcount, _probe.values()))
