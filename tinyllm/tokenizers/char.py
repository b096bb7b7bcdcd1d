"""The simplest tokenizer: a token is a character, its id the place of that character in the vocabulary."""

import json
from pathlib import Path

import numpy as np

from ..files import replace_text
from .checks import row_of_ids


class CharTokenizer:
    """characters: the vocabulary, in the order of the ids

    >>> tokenizer = CharTokenizer.train("hello")
    >>> tokenizer.characters
    'ehlo'
    >>> tokenizer.encode("hole")
    array([1, 3, 2, 0])
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    def __init__(self, characters):
        if not isinstance(characters, str) or not characters:
            raise ValueError("CharTokenizer: the vocabulary must be a string of at least one character, "
                             f"not {_short(characters)}")
        codes = _code_points(characters)
        halves = codes[(codes >= 0xD800) & (codes <= 0xDFFF)]
        if halves.size:
            raise ValueError(f"CharTokenizer: {_name(halves[0])} is half of a character (a lone surrogate) and cannot "
                             "be saved as UTF-8; take it out of the text")
        distinct, counts = np.unique(codes, return_counts=True)
        if len(distinct) < len(codes):
            raise ValueError(f"CharTokenizer: {_name(distinct[counts > 1][0])} is in the vocabulary more than once")
        self.characters, self.vocab_size = characters, len(characters)
        self._codes = codes  # id -> code point
        self._ids = np.full(codes.max() + 2, -1, np.int64)  # code point -> id; -1 where there is none, as at the end
        self._ids[codes] = np.arange(len(codes))

    @classmethod
    def train(cls, text):
        """The tokenizer whose vocabulary is the distinct characters of text, sorted by code point."""
        _check_text(text)
        return cls("".join(sorted(set(text))))

    def encode(self, text):
        """The id of every character.

        text of T characters  ->  ids (T,) int64
        """
        _check_text(text)
        codes = _code_points(text)
        ids = self._ids[np.minimum(codes, len(self._ids) - 1)]
        unknown = np.flatnonzero(ids < 0)
        if unknown.size:
            first, kinds = unknown[0], len(np.unique(codes[unknown]))
            raise ValueError(f"encode: {_name(codes[first])} at position {first} is not in the vocabulary "
                             f"(distinct unknown characters in the text: {kinds}), which holds {self.vocab_size} "
                             f"characters: {_short(self.characters)}; take out what is unknown, "
                             "or train the tokenizer on a text that has it")
        return ids

    def decode(self, ids):
        """The text that ids (a list, an array, a Tensor) stand for: `decode(encode(text)) == text`.

        ids (T,) integers  ->  text of T characters
        """
        return self._codes[row_of_ids(ids, self.vocab_size)].tobytes().decode("utf-32-le")

    def decode_bytes(self, ids):
        """The same text in UTF-8."""
        return self.decode(ids).encode("utf-8")

    def to_json(self):
        """The text of the file that `save` writes."""
        return json.dumps({"type": "char", "characters": self.characters}, ensure_ascii=False, indent=2) + "\n"

    def save(self, directory):
        """Write directory/tokenizer.json; the directory is made where there is none."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        replace_text(Path(directory, "tokenizer.json"), self.to_json())

    @classmethod
    def load(cls, directory):
        """The tokenizer that `save` wrote to the directory."""
        path = Path(directory, "tokenizer.json")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; CharTokenizer.save(directory) writes it")
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:  # not JSON, or not even UTF-8
            raise ValueError(f"{path} is not JSON: {error}") from error
        kind = content.get("type") if isinstance(content, dict) else None
        if kind != "char":
            raise ValueError(f'{path} must be {{"type": "char", "characters": "..."}}, but its type is {_short(kind)}')
        try:
            return cls(content.get("characters"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __repr__(self):
        return f"<CharTokenizer of {self.vocab_size} characters: {_short(self.characters)}>"


def _check_text(text):
    if not isinstance(text, str):
        raise TypeError(f"CharTokenizer takes one str, not {type(text).__name__}; join a list, decode bytes")


def _code_points(text):
    """The Unicode number of every character of the text, uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _name(code):
    """A character for an error: its look and its number, 'é' (U+00E9)."""
    return f"{chr(code)!r} (U+{code:04X})"


def _short(value):
    """What a message shows of a value: all of it, or its beginning."""
    shown = repr(value)
    return shown if len(shown) <= 120 else shown[:120] + "…"
