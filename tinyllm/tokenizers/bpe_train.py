"""The merges of a byte-pair encoding, learned fast: the ones that bpe_plain.py finds, without counting all anew.

All pieces stand in one array of ids. Three facts save the work:
- A piece that comes often is kept once, with its count as a weight; pieces stand in the order in which the text brings
  them, so "met first in the text" is "has the lowest place".
- A merge makes pairs with its new token and otherwise only takes pairs away. So a count from earlier is never too low:
  the heap of counts may be out of date, and only what comes to its top is counted again. If the count is still what it
  was, then no other pair has more, and its first place is still the first.
- Where a pair stands is found among the places of the rarer of its two tokens, which are known from its own merge.
"""

import heapq

import numpy as np

NOTHING = -1  # in `ids`: the border of a piece, or a token that was merged into the one before it
CANDIDATES = 20_000  # pairs in the heap when it is filled


def train_merges(pieces, n_merges, progress=lambda n: None):
    """The merges [(id, id)] in order, fewer where no pair is left; progress(n) is called after the n-th.

    pieces: {bytes: how often the text has it}, in the order in which it brings them; no pair goes across two.
    """
    text, heap, merges = _Text(pieces), [], []
    while len(merges) < n_merges:
        if not heap:
            heap, lowest = text.candidates()
            if not heap:
                break
        count, _, pair = heapq.heappop(heap)
        found = text.find(*pair)
        actual = text.weights[found].sum()
        if actual == -count:
            for candidate in text.merge(found, pair, 256 + len(merges), lowest):
                heapq.heappush(heap, candidate)
            merges.append(pair)
            progress(len(merges))
        elif actual >= lowest:
            heapq.heappush(heap, (-actual, int(found[0]), pair))
    return merges


class _Text:
    """The pieces in a row, each token at the place of its first byte, linked to its neighbours as tokens merge.

    A candidate is (−count, first place, pair): the least of them is the pair to merge next.
    """

    def __init__(self, pieces):
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        n = lengths.sum() + len(pieces) + 1
        border = np.zeros(n, bool)
        border[np.cumsum(lengths + 1)] = border[0] = True
        self.ids = np.full(n, NOTHING, np.int32)
        self.ids[~border] = np.frombuffer(b"".join(pieces), np.uint8)
        self.weights = np.ones(n)  # whole numbers, as float64, which np.bincount wants
        self.weights[1:] = np.repeat(np.fromiter(pieces.values(), np.float64, len(pieces)), lengths + 1)
        self.before, self.after = np.arange(-1, n - 1), np.arange(1, n + 1)
        self.places = [np.flatnonzero(self.ids == byte) for byte in range(256)]  # of each token, and some where it was

    def find(self, first, second):
        """The places where the pair stands, in order."""
        rarer = min(first, second, key=lambda token: len(self.places[token]))
        places = self.places[rarer]
        self.places[rarer] = places = places[self.ids[places] == rarer]
        if rarer == first:
            return places[self.ids[self.after[places]] == second]
        left = self.before[places]
        return left[self.ids[left] == first]

    def merge(self, found, pair, new, lowest):
        """Put `new` where the pair was found, and give the candidates that this makes, of `lowest` and more."""
        ids, before, after = self.ids, self.before, self.after
        at = _every_second(found, after) if pair[0] == pair[1] else found
        gone = after[at]
        right = after[gone]
        ids[at], ids[gone] = new, NOTHING
        after[at], before[right] = right, at
        self.places.append(at)
        left = before[at]
        yield from self._candidates(left[ids[left] != new], left[ids[left] != new], lowest, lambda token: (token, new))
        yield from self._candidates(right, at, lowest, lambda token: (new, token))

    def _candidates(self, neighbours, places, lowest, pair):
        tokens = self.ids[neighbours]
        inside = tokens != NOTHING
        tokens, places = tokens[inside], places[inside]
        counts = np.bincount(tokens, self.weights[places])
        for token in np.flatnonzero(counts >= lowest).tolist():
            yield -counts[token], int(places[np.argmax(tokens == token)]), pair(token)

    def candidates(self):
        """A heap of the most frequent pairs, all there are from some count on, and that count."""
        left = np.flatnonzero(self.ids != NOTHING)
        left = left[self.ids[self.after[left]] != NOTHING]
        if left.size == 0:
            return [], 1
        keys = self.ids[left].astype(np.int64) << 32 | self.ids[self.after[left]]
        keys, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
        counts = np.bincount(inverse, self.weights[left])
        lowest = np.sort(counts)[-min(CANDIDATES, len(counts))]
        chosen = counts >= lowest
        pairs = [(key >> 32, key & 0xFFFFFFFF) for key in keys[chosen].tolist()]
        heap = list(zip((-counts[chosen]).tolist(), left[firsts[chosen]].tolist(), pairs))
        heapq.heapify(heap)
        return heap, lowest


def _every_second(found, after):
    """Of the pairs (a, a) found in a a a a …, which overlap, those that are merged: every second one of each run."""
    index = np.arange(len(found))
    begins = np.ones(len(found), bool)
    begins[1:] = after[found[:-1]] != found[1:]
    in_run = index - np.maximum.accumulate(np.where(begins, index, 0))
    return found[in_run % 2 == 0]
