"""Byte-level byte-pair encoding: any text in, ids of a vocabulary that was learned from text out."""

from collections import Counter
from functools import cached_property
from pathlib import Path

from ..files import replace_text
from . import hugging_face
from .bpe_encode import encode_piece, no_merge_across
from .bpe_train import train_merges
from .checks import check_text, row_of_ids
from .pretokenize import PATTERNS, split
from .special import cut_at, encode_with_special
from .tiktoken_encoding import encode_ordinary, encoding_of

BYTES = {bytes([byte]): byte for byte in range(256)}


class BPETokenizer:
    """vocab: {bytes: id} of every token but the special ones    merges: [(id, id)], the first to be made first
    pattern: how text is cut before, a name in PATTERNS, or None    special_tokens: {name: id}

    >>> tokenizer = BPETokenizer.train("aaabdaaabac", 256 + 3)
    >>> tokenizer.merges
    [(97, 97), (256, 97), (257, 98)]
    >>> tokenizer.encode("aaabdaaabac")
    array([258, 100, 258,  97,  99])
    >>> tokenizer.decode([258, 100, 258, 97, 99])
    'aaabdaaabac'
    """

    def __init__(self, vocab, merges, pattern=None, special_tokens=None):
        check_pattern(pattern)
        self.vocab, self.merges, self.pattern = dict(vocab), [tuple(pair) for pair in merges], pattern
        self.special_tokens = dict(special_tokens or {})
        names = {name.encode("utf-8"): i for name, i in self.special_tokens.items()}
        self._tokens = _tokens_by_id(self.vocab, names)  # id -> bytes
        self._ranks = _ranks(self.vocab, self.merges, self._tokens)  # (id, id) -> rank, id of both together
        self.vocab_size = max(self._tokens) + 1

    @classmethod
    def train(cls, text, vocab_size, pattern=None, special_tokens=(), progress=lambda n: None):
        """The tokenizer of the merges that are most frequent in a text (or in several: an iterable of str).

        Of vocab_size tokens 256 are the bytes, the last ones the special tokens, in whose places a text is cut, and
        the rest merges: fewer where a text has no pairs left. Of pairs with equal counts the one that the text has
        first is merged. progress(n) is called after the n-th merge.
        """
        check_pattern(pattern)
        n_merges = vocab_size - len(BYTES) - len(special_tokens)
        if n_merges < 0:
            raise ValueError(f"BPETokenizer.train: vocab_size {vocab_size} is too small; 256 bytes and "
                             f"{len(special_tokens)} special tokens are {256 + len(special_tokens)}")
        pieces = Counter()
        for document in [text] if isinstance(text, str) else text:
            check_text(document, "BPETokenizer.train")
            for part in cut_at(document, special_tokens):
                if part not in special_tokens:
                    pieces.update(split(part, pattern))
        merges = train_merges({piece.encode("utf-8"): n for piece, n in pieces.items()}, n_merges, progress)
        tokens = list(BYTES)
        for first, second in merges:
            tokens.append(tokens[first] + tokens[second])
        special = {name: len(tokens) + k for k, name in enumerate(special_tokens)}
        return cls({token: i for i, token in enumerate(tokens)}, merges, pattern, special)

    def encode(self, text, allowed_special=()):
        """The ids of a text; what looks like a special token is text, but for the names in allowed_special, or "all".

        It is tiktoken that encodes, wherever it can (`to_tiktoken`); `encode_by_merges` finds the same ids.

        text  ->  ids (T,) int64
        """
        if self._encoding is None:
            return self.encode_by_merges(text, allowed_special)

        def ordinary(part):
            return encode_ordinary(self._encoding, self.pattern, part)

        return encode_with_special(text, allowed_special, self.special_tokens, ordinary, "encode")

    def encode_by_merges(self, text, allowed_special=()):
        """`encode` in Python: the text is cut, and the merges of each piece are made in their order."""
        known = {}

        def ordinary(part):
            ids = []
            for piece in split(part, self.pattern):
                if piece not in known:
                    known[piece] = encode_piece(self._bytes(piece), self._ranks)
                ids += known[piece]
            return ids

        return encode_with_special(text, allowed_special, self.special_tokens, ordinary, "encode")

    def _bytes(self, piece):
        try:
            return [self.vocab[bytes([byte])] for byte in piece.encode("utf-8")]
        except KeyError as error:
            raise ValueError(f"encode: {piece[:40]!r} has the byte {error.args[0]!r}, and this vocabulary does not; "
                             "it was not made for such text") from None

    def decode(self, ids):
        """The text of ids; what is no whole character, as tokens that hold a part of one, becomes U+FFFD.

        ids (T,) integers  ->  text
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids):
        """The bytes of ids, to the last one: `decode_bytes(encode(text)) == text.encode()`."""
        row = row_of_ids(ids, self.vocab_size).tolist()
        try:
            return b"".join([self._tokens[i] for i in row])
        except KeyError as error:
            raise IndexError(f"token id {error.args[0]} is not in the vocabulary: it is one of its gaps") from None

    @cached_property
    def _encoding(self):
        try:
            return self.to_tiktoken()
        except ValueError:
            return None

    def to_tiktoken(self):
        """The vocabulary as a tiktoken.Encoding.

        tiktoken knows no merges: it joins neighbours whose bytes together are a token, the one of lowest id first. That
        gives the same ids for every trained vocabulary; a ValueError says where it does not for one from elsewhere.
        """
        parts = {new: pair for pair, (_, new) in self._ranks.items()}
        ids = list(parts)
        made = BYTES.keys() | {self._tokens[new] for new in ids}
        if self.vocab.keys() != made or len(ids) < len(self.merges) or ids != sorted(ids):
            raise ValueError("this vocabulary cannot be tiktoken's, which needs all 256 bytes, every other token from "
                             "one merge, and ids in the order of the merges")
        for new, pair in parts.items():
            if not no_merge_across(pair, self._ranks, parts):
                raise ValueError(f"token {new}, {self._tokens[new]!r}, does not come out of its own bytes, so tiktoken "
                                 "would encode otherwise than these merges")
        return encoding_of("tinyllm", self.vocab, self.pattern, self.special_tokens)

    @classmethod
    def from_tiktoken(cls, encoding, pattern):
        """The vocabulary of a tiktoken.Encoding, with the merges that its ranks imply."""
        ranked = sorted(encoding._mergeable_ranks.items(), key=lambda item: item[1])
        vocab, merges, ranks = dict(ranked), [], {}
        for token, i in ranked:
            if len(token) > 1:
                pair = tuple(encode_piece([vocab[bytes([byte])] for byte in token], ranks))
                if len(pair) != 2:
                    raise ValueError(f"{encoding.name}: token {i}, {token!r}, is made of {len(pair)} tokens of lower "
                                     "ranks, must be 2")
                ranks[pair] = (len(merges), i)
                merges.append(pair)
        return cls(vocab, merges, pattern, encoding._special_tokens)

    def to_json(self):
        """The text of the file that `save` writes."""
        return hugging_face.to_json(self.vocab, self.merges, self.pattern, self.special_tokens)

    def save(self, directory):
        """Write directory/tokenizer.json, which Hugging Face's tokenizers reads too; the directory is made."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        replace_text(Path(directory, "tokenizer.json"), self.to_json())

    @classmethod
    def load(cls, directory):
        """The tokenizer in a directory: a tokenizer.json, of `save` or of Hugging Face, or GPT-2's two files,
        vocab.json and merges.txt (or encoder.json and vocab.bpe)."""
        found = hugging_face.read(directory)
        try:
            return cls(*found)
        except ValueError as error:
            raise ValueError(f"the tokenizer in {directory}: {error}") from error

    def __repr__(self):
        special = f", special {', '.join(self.special_tokens)}" if self.special_tokens else ""
        return f"<BPETokenizer of {self.vocab_size:,} tokens, pattern {self.pattern}{special}>"


def check_pattern(pattern):
    if pattern is not None and pattern not in PATTERNS:
        raise ValueError(f"there is no pattern {pattern!r}; choose one of {', '.join(PATTERNS)}, or None")


def _tokens_by_id(vocab, special):
    tokens = {}
    for token, i in [*vocab.items(), *special.items()]:
        if i in tokens:
            raise ValueError(f"id {i} is given twice, to {tokens[i]!r} and {token!r}")
        if not token:
            raise ValueError(f"id {i} is an empty token")
        tokens[i] = token
    if not tokens or min(tokens) < 0:
        raise ValueError(f"ids begin at 0, not at {min(tokens, default='none')}")
    return tokens


def _ranks(vocab, merges, tokens):
    ranks = {}
    for rank, pair in enumerate(merges):
        missing = [i for i in pair if i not in tokens]
        if missing:
            raise ValueError(f"merge {rank} is of id {missing[0]}, which is not in the vocabulary")
        together = tokens[pair[0]] + tokens[pair[1]]
        if together not in vocab:
            raise ValueError(f"merge {rank}, of {tokens[pair[0]]!r} and {tokens[pair[1]]!r}, makes {together!r}, "
                             "which is not in the vocabulary")
        if pair in ranks:
            raise ValueError(f"merge {rank}, of {tokens[pair[0]]!r} and {tokens[pair[1]]!r}, is merge {ranks[pair][0]} "
                             "once more")
        ranks[pair] = (rank, vocab[together])
    return ranks
