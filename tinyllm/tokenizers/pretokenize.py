"""Cutting a text into pieces, which no token reaches across: words with the space before them, numbers, punctuation.

The patterns are those of GPT-2, GPT-4 (cl100k_base) and GPT-4o (o200k_base), in a form that tiktoken, Hugging Face's
tokenizers and, by way of character classes, Python's `re` all read alike.
"""

import re
from functools import cache

import numpy as np

_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"  # what has no case is both
_CONTRACTION = r"(?i:'[sſ]|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?[\p{L}]++| ?[\p{N}]++| ?[^\s\p{L}\p{N}]++|\s++(?!\s|\S)|\s+(?!\S)|\s",
    "gpt4": r"'(?i:[sſdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+[\p{L}]++|[\p{N}]{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+"
            r"|\s++(?!\s|\S)|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_CONTRACTION}"
             rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_CONTRACTION}"
             r"|[\p{N}]{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}  # fmt: skip

# One byte stands for every character: itself in ASCII, beyond it the class it belongs to, all that a pattern asks.
OTHER, SPACE, DIGIT, UPPER, LOWER, CASELESS, MARK, LONG_S = b"!\v0Aa\x80\x81\x82"  # ſ is an s where case is ignored
CLASSES = {r"[\p{Lu}\p{Lt}]": UPPER, r"\p{Ll}": LOWER, r"[\p{Lm}\p{Lo}]": CASELESS, r"\p{M}": MARK, r"\p{N}": DIGIT,
           r"\s": SPACE, "ſ": LONG_S}  # fmt: skip
IN_BYTES = {_UPPER: r"A-Z\x80\x81", _LOWER: r"a-z\x80\x81\x82", r"\p{L}": r"A-Za-z\x80\x82", r"\p{N}": "0-9",
            "ſ": r"\x82"}  # fmt: skip


def split(text, pattern):
    """The pieces of a text, one after the other; pattern: a name in PATTERNS, or None for one piece."""
    if pattern is None:
        return [text] if text else []
    pieces, start = [], 0
    for match in _compiled(pattern).findall(_classes(text)):
        pieces.append(text[start : start + len(match)])
        start += len(match)
    return pieces


@cache
def _compiled(pattern):
    expression = PATTERNS[pattern]
    for unicode, in_bytes in IN_BYTES.items():
        expression = expression.replace(unicode, in_bytes)
    return re.compile(expression.encode("ascii"))


def _classes(text):
    """bytes, one a character"""
    if text.isascii():
        return text.encode("ascii")
    return _table()[np.frombuffer(text.encode("utf-32-le"), "<u4")].tobytes()


@cache
def _table():
    """The class of every code point, asked of tiktoken, so that both agree on what Unicode's version calls a letter."""
    import tiktoken

    bytes_alone = {bytes([byte]): byte for byte in range(256)}
    planes = [range(128, 0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000)]  # others hold no letters or marks
    everything = "".join(chr(code) for plane in planes for code in plane)
    table = np.full(0x110000, OTHER, np.uint8)
    table[:128] = np.arange(128)
    for pattern, byte in CLASSES.items():
        matcher = tiktoken.Encoding("class", pat_str=pattern, mergeable_ranks=bytes_alone, special_tokens={})
        members = matcher.decode(matcher.encode_ordinary(everything))  # what does not match is left out
        table[np.frombuffer(members.encode("utf-32-le"), "<u4")] = byte
    return table
