"""The tokenizer in a folder, of whichever kind."""

from pathlib import Path

from .bpe import BPETokenizer
from .char import CharTokenizer
from .hugging_face import read_json
from .tiktoken_tokenizer import NAMES, TiktokenTokenizer


def load(directory):
    """The tokenizer that was saved to a directory: a CharTokenizer or a BPETokenizer, which is also what comes of a
    tokenizer.json of Hugging Face's or of GPT-2's vocab.json and merges.txt."""
    path = Path(directory, "tokenizer.json")
    if path.is_file() and "type" in read_json(path):
        return CharTokenizer.load(directory)
    return BPETokenizer.load(directory)


def named(name, vocab=None):
    """The tokenizer that --tokenizer names: one of OpenAI's vocabularies, its file being `vocab` or tiktoken's, or the
    folder of a saved one. None for "char", whose vocabulary is the characters of a text."""
    if vocab and name not in NAMES:
        raise ValueError(f"--vocab is the file of a vocabulary that --tokenizer names: {', '.join(NAMES)}")
    if name is None or name == "char":
        return None
    if name in NAMES:
        return TiktokenTokenizer(name, vocab)
    if not Path(name).is_dir():
        raise ValueError(f"there is no tokenizer {name!r}; choose char, {', '.join(NAMES)}, or a folder with one")
    return load(name)
