"""A byte-level BPE vocabulary in Hugging Face's files: tokenizer.json, or GPT-2's vocab.json and merges.txt.

In both a byte is written as a character that can be seen: the 188 that are visible in Latin-1 as themselves, the
others as U+0100 and on, the space as Ġ.
"""

import json
from pathlib import Path

from .pretokenize import PATTERNS

VISIBLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
HIDDEN = [byte for byte in range(256) if byte not in VISIBLE]
GPT2_BYTES = [*VISIBLE, *HIDDEN]  # the byte of GPT-2's id 0, 1, …
CHARACTER = {byte: chr(byte) for byte in VISIBLE} | {byte: chr(256 + k) for k, byte in enumerate(HIDDEN)}
BYTE = {character: byte for byte, character in CHARACTER.items()}
FOLDERS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))  # Hugging Face's names, and OpenAI's
END_OF_TEXT = "<|endoftext|>"


def to_json(vocab, merges, pattern, special_tokens):
    """The text of a tokenizer.json; the arguments are those of BPETokenizer."""
    token_of = {i: _written(token) for token, i in vocab.items()}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pattern == "gpt2"}
    cut = byte_level
    if pattern not in (None, "gpt2"):
        by_pattern = {"type": "Split", "pattern": {"Regex": PATTERNS[pattern]}, "behavior": "Isolated", "invert": False}
        cut = {"type": "Sequence", "pretokenizers": [by_pattern, byte_level]}
    written = {_written(token): i for token, i in vocab.items()} | special_tokens
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **flags} for name, i in special_tokens.items()],
        "normalizer": None,
        "pre_tokenizer": cut,
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(sorted(written.items(), key=lambda item: item[1])),
            "merges": [[token_of[first], token_of[second]] for first, second in merges],
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def has_tokenizer(directory):
    """Whether a directory has a tokenizer's files."""
    kinds = (("tokenizer.json",), *FOLDERS)
    return any(all(Path(directory, name).is_file() for name in names) for names in kinds)


def read(directory):
    """vocab, merges, pattern, special_tokens, as BPETokenizer takes them, of a directory with files of either kind."""
    directory = Path(directory)
    if (directory / "tokenizer.json").is_file():
        return read_tokenizer_json(directory / "tokenizer.json")
    for vocab, merges in FOLDERS:
        if (directory / vocab).is_file() and (directory / merges).is_file():
            return read_gpt2(directory / vocab, directory / merges)
    raise FileNotFoundError(f"{directory / 'tokenizer.json'}: no such file, nor vocab.json and merges.txt beside it; "
                            "give the folder of a saved tokenizer")


def read_tokenizer_json(path):
    content = read_json(path)
    model = content.get("model") if isinstance(content.get("model"), dict) else {}
    _require(path, "model.type", model.get("type"), "BPE")
    for name, only in {"continuing_subword_prefix": "", "end_of_word_suffix": "", "dropout": 0, "byte_fallback": False,
                       "ignore_merges": False}.items():  # fmt: skip
        _require(path, f"model.{name}", model.get(name) or only, only)
    _require(path, "normalizer", content.get("normalizer"), None)
    pattern = _pattern(path, content.get("pre_tokenizer"))
    special = {added["content"]: added["id"] for added in content.get("added_tokens") or ()}
    vocab = _vocab(path, model.get("vocab"), special)
    merges = []
    for k, merge in enumerate(model.get("merges") or ()):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        merges.append(_pair(f"{path}, merge {k}", pair, model["vocab"]))
    return vocab, merges, pattern, special


def read_gpt2(vocab_path, merges_path):
    """GPT-2's two files; its special tokens are what special_tokens_map.json beside them says, and <|endoftext|>."""
    found = read_json(vocab_path)
    beside = vocab_path.with_name("special_tokens_map.json")
    names = {END_OF_TEXT}
    for value in (read_json(beside) if beside.is_file() else {}).values():
        for token in value if isinstance(value, list) else [value]:
            names.add(token["content"] if isinstance(token, dict) else token)
    special = {name: found[name] for name in names if name in found}
    special = dict(sorted(special.items(), key=lambda item: item[1]))
    vocab = _vocab(vocab_path, found, special)
    merges = [_pair(place, pair, found) for place, pair in read_merges(merges_path)]
    return vocab, merges, "gpt2", special


def read_merges(path):
    """(place for a message, [first, second]) of every line of a merges.txt or vocab.bpe."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if line and not (number == 1 and line.startswith("#version")):
            yield f"{path}, line {number}", line.rstrip("\r").split(" ")


def read_json(path):
    """The object in a JSON file."""
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:  # not JSON, or not even UTF-8
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a JSON object, not {str(content)[:40]!r}")
    return content


def as_bytes(written, place):
    """The bytes of a token as the files write it."""
    try:
        return bytes(BYTE[character] for character in written)
    except KeyError as error:
        raise ValueError(f"{place}: {written!r} is no byte-level token, it has {error.args[0]!r}; this is the "
                         "vocabulary of another kind of tokenizer") from None


def _written(token):
    return "".join(CHARACTER[byte] for byte in token)


def _vocab(path, found, special):
    if not isinstance(found, dict) or not all(isinstance(i, int) for i in found.values()):
        raise ValueError(f"{path}: the vocabulary must be an object of tokens and their ids")
    return {as_bytes(token, path): i for token, i in found.items() if token not in special}


def _pair(place, pair, ids):
    if len(pair) != 2 or not all(pair):
        raise ValueError(f"{place}: a merge is two tokens with a space between, not {' '.join(pair)!r}")
    for token in (*pair, "".join(pair)):
        if token not in ids:
            raise ValueError(f"{place}: {token!r} is not in the vocabulary")
    return ids[pair[0]], ids[pair[1]]


def _pattern(path, cut):
    """The name of the pattern that a pre_tokenizer means."""
    parts = cut.get("pretokenizers", [cut]) if isinstance(cut, dict) else []
    *splits, byte_level = parts or [{}]
    if byte_level.get("type") == "ByteLevel" and not byte_level.get("add_prefix_space"):
        by_itself = byte_level.get("use_regex", True)
        if not splits:
            return "gpt2" if by_itself else None
        expressions = {expression: name for name, expression in PATTERNS.items()}
        expression = (splits[0].get("pattern") or {}).get("Regex")
        if len(splits) == 1 and not by_itself and expression in expressions:
            return expressions[expression]
    raise ValueError(f"{path}: its pre_tokenizer is not one of the byte-level ones known here, those of GPT-2 and "
                     f"those that BPETokenizer.save writes: {json.dumps(cut)[:200]}")


def _require(path, name, value, only):
    if value != only:
        raise ValueError(f"{path}: {name} is {value!r}; only {only!r} is read")
