"""The tokenizer in a folder, of whichever kind."""

from pathlib import Path

from .bpe import BPETokenizer
from .char import CharTokenizer
from .hugging_face import read_json


def load(directory):
    """The tokenizer that was saved to a directory: a CharTokenizer or a BPETokenizer, which is also what comes of a
    tokenizer.json of Hugging Face's or of GPT-2's vocab.json and merges.txt."""
    path = Path(directory, "tokenizer.json")
    if path.is_file() and "type" in read_json(path):
        return CharTokenizer.load(directory)
    return BPETokenizer.load(directory)
