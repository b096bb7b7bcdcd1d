"""An array in a few numbers."""

from dataclasses import dataclass

import numpy as np

from ..backend import array_module


@dataclass(frozen=True)
class Statistics:
    """Of the finite numbers: the smallest, the largest, their mean, how many are 0. Then how many are not finite."""

    size: int
    smallest: float
    largest: float
    mean: float
    zeros: int
    nan: int
    infinite: int

    @property
    def scale(self):
        """The largest distance from 0: where a colour is full."""
        return max(abs(self.smallest), abs(self.largest))

    @property
    def odd(self):
        """How many are NaN or infinite, in words: empty if none is."""
        counts = {"NaN": self.nan, "infinite": self.infinite}
        return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)

    @property
    def extent(self):
        """The finite numbers in words."""
        if self.nan + self.infinite == self.size:
            return "no finite number" if self.size else "no numbers"
        zeros = f", {self.zeros:,} zero{'s' if self.zeros > 1 else ''}" if self.zeros else ""
        return f"{self.smallest:.4g} … {self.largest:.4g}, mean {self.mean:.4g}{zeros}"

    def __str__(self):
        return self.extent + (f", {self.odd}" if self.odd else "")


def statistics(array):
    """The Statistics of an array of any backend."""
    xp = array_module(array)
    finite = array[xp.isfinite(array)] if array.dtype.kind == "f" else array
    nan = int(xp.isnan(array).sum()) if array.dtype.kind == "f" else 0
    infinite = array.size - finite.size - nan
    if not finite.size:
        return Statistics(array.size, 0.0, 0.0, 0.0, 0, nan, infinite)
    with np.errstate(all="ignore"):  # the mean of numbers near 1e308 is infinite, and may be
        mean = float(finite.mean(dtype=np.float64))
    extent = float(finite.min()), float(finite.max())
    return Statistics(array.size, *extent, mean, int((finite == 0).sum()), nan, infinite)
