"""The gradients of several workers, added up in one vector in an order that does not depend on who is faster."""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from ..places import Place

EARLY = 1 << 25  # bytes of parts that a rank keeps for their turn; with more it waits


class Shares:
    """One rank's shares of the gradients, on their way into the common vector `g`.

    A share is added part by part. Each rank begins at another part and goes round, and that is also the order in which
    the ranks add to a part: who begins there, then who comes by next. So all of them write at once, the first one
    writes what it computes straight to its place, and mostly the others have been there when a rank comes. Who comes
    too early keeps its part and goes on.

    added[i, rank] counts the parts of parameter i that a rank has added: an array that all see, zeros at the start.
    """

    def __init__(self, team, rank, g, added):
        self.team, self.rank, self.g, self.all_added, self.added = team, rank, g, added, memoryview(added)
        self.number = {p: i for i, p in enumerate(g.views)}
        self.given = [0] * len(added)  # how many parts of each parameter there were so far, of every rank as many
        self.early, self.held = [], 0

    # what `gradients` asks for

    def place(self, p):
        return SharedPlace(self.g.views[p], self.given[self.number[p]] > 0, self, p)

    def take(self, p, share):
        if not isinstance(share, Place):
            self.add(p, [...], lambda part, out=None: share if out is None else np.copyto(out, share))

    # the parts

    def add(self, p, parts, compute):
        """As Place.add. Every rank gives as many parts; they are the same ones where there is no gradient yet."""
        i, array, given = self.number[p], self.g.views[p], self.given[self.number[p]]
        for k, others in turns(len(parts), self.team.size, (self.rank + i) % self.team.size):
            needed = [((rank - i) % self.team.size, given + parts_before) for rank, parts_before in others]
            if any(count for _, count in needed):
                self._keep(Early(i, array, parts[k], compute(parts[k]), needed))
            else:
                compute(parts[k], array[parts[k]])
                self.added[i, self.rank] += 1
        self.given[i] += len(parts)

    def _keep(self, early):
        self.early.append(early)
        self.held += early.share.nbytes
        while self.early and self._add():
            pass
        while self.held > EARLY:
            self.team.wait(self._add)

    def _add(self):
        """Add the first of those that are early, if its turn has come."""
        i, array, part, share, needed = self.early[0]
        for rank, count in needed:
            if self.added[i, rank] < count:
                return False
        array[part] += share
        self.added[i, self.rank] += 1
        self.held -= share.nbytes
        del self.early[0]
        return True

    def finish(self):
        """Wait for the turns of what is left, then for everybody else's."""
        while self.early:
            self.team.wait(self._add)
        given = np.array(self.given)[:, None]
        self.team.wait(lambda: (self.all_added == given).all())


class Early(NamedTuple):
    number: int
    array: np.ndarray
    part: object
    share: np.ndarray
    needed: list  # (rank, how many parts it must have added before)


@cache
def turns(n, size, rank):
    """The order in which a rank goes through n parts: (part, [(other rank, how many parts it has done once it has been
    there), or 0 where it comes later]).
    """
    starts = [n * other // size for other in range(size)]

    def turn(k, other):
        return (k - starts[other]) % n, other

    found = []
    for step in range(n):
        k = (starts[rank] + step) % n
        mine = turn(k, rank)
        found.append((k, [(other, turn(k, other)[0] + 1 if turn(k, other) < mine else 0)
                          for other in range(size) if other != rank]))  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class SharedPlace(Place):
    """A Place that several ranks add to."""

    shares: Shares
    parameter: object

    def add(self, parts, compute):
        self.shares.add(self.parameter, parts, compute)
        return self
