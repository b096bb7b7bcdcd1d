"""The vocabularies of OpenAI's models, by name."""

import base64
from functools import cached_property
from pathlib import Path

from .bpe import BPETokenizer
from .checks import row_of_ids
from .hugging_face import END_OF_TEXT, GPT2_BYTES, as_bytes, read_merges
from .special import encode_with_special
from .tiktoken_encoding import encode_ordinary, encoding_of

_CL100K = {END_OF_TEXT: 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260,
           "<|endofprompt|>": 100276}  # fmt: skip
_O200K = {END_OF_TEXT: 199999, "<|endofprompt|>": 200018}
NAMES = {  # name: pattern, special tokens, number of the others
    "gpt2": ("gpt2", {END_OF_TEXT: 50256}, 50256),
    "r50k_base": ("gpt2", {END_OF_TEXT: 50256}, 50256),
    "cl100k_base": ("gpt4", _CL100K, 100256),
    "o200k_base": ("o200k", _O200K, 199998),
}
FILES = "https://openaipublic.blob.core.windows.net"


class TiktokenTokenizer:
    """name: gpt2, r50k_base, cl100k_base (GPT-4) or o200k_base (GPT-4o)    vocab: its file, a vocab.bpe or a .tiktoken

    Without a file tiktoken looks into $TIKTOKEN_CACHE_DIR, or downloads it once. Everything else is as BPETokenizer's.
    """

    def __init__(self, name, vocab=None):
        if name not in NAMES:
            raise ValueError(f"there is no vocabulary {name!r}; choose one of {', '.join(NAMES)}")
        self.name = name
        self.pattern, self.special_tokens, n_tokens = NAMES[name]
        if vocab:
            ranks = read_ranks(vocab)
            if len(ranks) != n_tokens:
                raise ValueError(f"{vocab} is not the vocabulary of {name}: it has {len(ranks):,} tokens, "
                                 f"not {n_tokens:,}")
            self.encoding = encoding_of(name, ranks, self.pattern, self.special_tokens)
        else:
            self.encoding = _get(name)
        self.vocab_size = self.encoding.n_vocab

    def encode(self, text, allowed_special=()):
        """As BPETokenizer.encode.

        text  ->  ids (T,) int64
        """

        def ordinary(part):
            return encode_ordinary(self.encoding, self.pattern, part)

        return encode_with_special(text, allowed_special, self.special_tokens, ordinary, "encode")

    def decode(self, ids):
        """As BPETokenizer.decode.

        ids (T,) integers  ->  text
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids):
        """As BPETokenizer.decode_bytes."""
        row = row_of_ids(ids, self.vocab_size).tolist()
        try:
            return self.encoding.decode_bytes(row)
        except KeyError as error:
            raise IndexError(f"token id {str(error).split()[-1].strip(chr(39))} is not in the vocabulary: it is one of "
                             f"the gaps of {self.name}") from None

    def to_tiktoken(self):
        """The tiktoken.Encoding that it is."""
        return self.encoding

    def to_bpe(self):
        """The same vocabulary as a BPETokenizer, which has merges and is what `save` writes."""
        return self._bpe

    @cached_property
    def _bpe(self):
        return BPETokenizer.from_tiktoken(self.encoding, self.pattern)

    def to_json(self):
        """The text of the file that `save` writes."""
        return self.to_bpe().to_json()

    def save(self, directory):
        """Write directory/tokenizer.json, as BPETokenizer.save does: `load` needs no download."""
        self.to_bpe().save(directory)

    def __repr__(self):
        return f"<TiktokenTokenizer {self.name} of {self.vocab_size:,} tokens>"


def _get(name):
    import tiktoken

    try:
        return tiktoken.get_encoding(name)
    except OSError as error:  # requests' errors are OSErrors
        file = "gpt-2/encodings/main/vocab.bpe" if name == "gpt2" else f"encodings/{name}.tiktoken"
        raise OSError(f"the vocabulary {name} is not here and cannot be downloaded ({type(error).__name__}); fetch "
                      f"{FILES}/{file} elsewhere and give it with --vocab PATH, or set TIKTOKEN_CACHE_DIR to a "
                      "folder of tiktoken's where it is") from error


def read_ranks(path):
    """{bytes: id} of a vocab.bpe (merges, a line each) or a .tiktoken file (bytes in base64 and their rank)."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a vocab.bpe or a .tiktoken file")
    ranks = _ranks_of_merges(path) if path.suffix in (".bpe", ".txt") else _ranks_of_tiktoken(path)
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ValueError(f"{path}: the byte {bytes(missing[:1])!r} is no token of this vocabulary")
    return ranks


def _ranks_of_merges(path):
    ranks = {bytes([byte]): i for i, byte in enumerate(GPT2_BYTES)}
    for place, pair in read_merges(path):
        if len(pair) != 2 or not all(pair):
            raise ValueError(f"{place}: a merge is two tokens with a space between, not {' '.join(pair)!r}")
        first, second = (as_bytes(token, place) for token in pair)
        for token in (first, second):
            if token not in ranks:
                raise ValueError(f"{place}: no line before makes {token!r}")
        if first + second in ranks:
            raise ValueError(f"{place}: {first + second!r} was there before")
        ranks[first + second] = len(ranks)
    return ranks


def _ranks_of_tiktoken(path):
    ranks, lines = {}, {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        place = f"{path}, line {number}"
        if not line:
            continue
        try:
            token, rank = line.split()
            token, rank = base64.b64decode(token, validate=True), int(rank)
        except ValueError as error:
            raise ValueError(f"{place}: must be a token in base64 and its rank, not {line[:60]!r}") from error
        if token in ranks or rank in lines:
            raise ValueError(f"{place}: the {'token' if token in ranks else 'rank'} "
                             f"{token if token in ranks else rank!r} was there before")
        ranks[token], lines[rank] = rank, number
    gaps = set(range(len(ranks))) - set(lines)
    if gaps:
        raise ValueError(f"{path}: no line has rank {min(gaps)}, and there are {len(ranks):,} tokens")
    return ranks
