"""tiktoken, which encodes: how it is given a vocabulary, and a text."""

import re

from .pretokenize import PATTERNS, split

LONG_SPACE = re.compile(r"\s{100000}")  # tiktoken's regular expressions run out of stack somewhere above 500,000


def encoding_of(name, ranks, pattern, special_tokens):
    """A tiktoken.Encoding; ranks: {bytes: id}, pattern: a name in PATTERNS, or None for no cutting."""
    import tiktoken

    expression = PATTERNS[pattern] if pattern else r"[\s\S]+"
    return tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens=special_tokens)


def encode_ordinary(encoding, pattern, text):
    """[id] of a text without special tokens."""
    if pattern and LONG_SPACE.search(text):
        return [i for piece in split(text, pattern) for i in encoding._encode_single_piece(piece)]
    return encoding.encode_ordinary(text)
