"""The merges of one piece of text, in n log n: what bpe_plain.encode does, for a piece of a megabyte, too."""

import math
from heapq import heapify, heappop, heappush


def encode_piece(ids, ranks):
    """ids with every merge made, the one of lowest rank first, and of several the leftmost.

    ids: [id] of single bytes; ranks: {(id, id): (rank, id of both together)}
    """
    ids = [*ids, None]  # the end; None, too, where a token was merged into the one before it
    before, after = list(range(-1, len(ids) - 1)), list(range(1, len(ids) + 1))
    heap = [(*ranks[pair], i, pair) for i, pair in enumerate(zip(ids, ids[1:])) if pair in ranks]
    heapify(heap)
    while heap:
        _, new, i, pair = heappop(heap)
        gone = after[i]
        if ids[i] != pair[0] or ids[gone] != pair[1]:
            continue  # one of the two has been merged since
        ids[i], ids[gone] = new, None
        after[i] = after[gone]
        before[after[i]] = i
        for left in (before[i], i):
            pair = (ids[left], ids[after[left]]) if left >= 0 else None
            if pair in ranks:
                heappush(heap, (*ranks[pair], left, pair))
    return [i for i in ids if i is not None]


def no_merge_across(pair, ranks, parts):
    """Whether the bytes of a pair's tokens come to be those two tokens: no earlier merge reaches across their border.

    At the border stands, on the left, first the last byte of the left token, then every token down its right edge in
    turn, each until it is merged into the next; on the right it is the left edge of the right token.

    parts: {id: the pair it is made of}
    """
    for left, left_until in _edge(pair[0], 1, ranks[pair][0], ranks, parts):
        for right, right_until in _edge(pair[1], 0, ranks[pair][0], ranks, parts):
            rank = ranks.get((left, right), (math.inf,))[0]
            if rank < left_until and rank <= right_until:  # of two equal ones the left merge is made
                return False
    return True


def _edge(token, side, until, ranks, parts):
    """(token, rank of the merge that takes it in) from the whole down to its last (side 1) or first (side 0) byte."""
    yield token, until
    while token in parts:
        pair = parts[token]
        token, until = pair[side], ranks[pair][0]
        yield token, until
