"""Byte-pair encoding on one page (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909), to read; `BPETokenizer` does
the same fast.

Text is a row of bytes, ids 0 … 255. Training takes the pair of neighbours that is there most often, gives it the next
id, puts that id wherever the pair stands, and begins again. Encoding makes the same merges in the same order.

>>> merges = train("aaabdaaabac", 3)
>>> merges  # "aa", then "aaa", then "aaab"
[(97, 97), (256, 97), (257, 98)]
>>> encode("aaabdaaabac", merges)
[258, 100, 258, 97, 99]
>>> decode([258, 100, 258, 97, 99], merges)
'aaabdaaabac'
"""


def train(text, n_merges):
    """The merges, [(id, id)] in order: merge k makes id 256 + k. Fewer where the text runs out of pairs."""
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < n_merges and (counts := pair_counts(ids)):
        pair = max(counts, key=counts.get)  # of several with this count, the one met first in the text
        ids = merge(ids, pair, 256 + len(merges))
        merges.append(pair)
    return merges


def pair_counts(ids):
    """{pair: how often it stands in ids}, in the order in which the pairs are met. In a a a there are two of (a, a)."""
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids, pair, new):
    """ids with `new` in place of every pair, from left to right: a a a with (a, a) is new a."""
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def encode(text, merges):
    """The ids of the text: its bytes, then every merge in its turn."""
    ids = list(text.encode("utf-8"))
    for k, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + k)
    return ids


def decode(ids, merges):
    """The text of ids; a character that was cut is shown as U+FFFD."""
    tokens = [bytes([byte]) for byte in range(256)]
    for first, second in merges:
        tokens.append(tokens[first] + tokens[second])
    return b"".join(tokens[i] for i in ids).decode("utf-8", errors="replace")
