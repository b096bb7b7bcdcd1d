"""What a tokenizer makes of a text."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statistics:
    vocab_size: int
    used: int  # how many of them the text has
    tokens: int
    characters_per_token: float
    bytes_per_token: float  # the compression
    longest: list[bytes]  # tokens of the text with the most bytes
    rarest: list[bytes]  # and with the lowest counts


def statistics(text, tokenizer, shown=8):
    """The Statistics of a text; of the longest and the rarest tokens so many as are to be shown."""
    ids = tokenizer.encode(text)
    if len(ids) == 0:
        raise ValueError("the text is empty; there is nothing to count")
    used, counts = np.unique(ids, return_counts=True)
    tokens = [tokenizer.decode_bytes([i]) for i in used]
    longest = sorted(tokens, key=len, reverse=True)[:shown]
    rarest = [tokens[i] for i in np.argsort(counts, kind="stable")[:shown]]
    per_token = len(text) / len(ids), len(text.encode("utf-8")) / len(ids)
    return Statistics(tokenizer.vocab_size, len(used), len(ids), *per_token, longest, rarest)
