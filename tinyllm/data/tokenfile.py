"""A corpus as ids on disk, read where it lies: a folder, made by `tinyllm data prepare`.

    tokens.bin       the ids of all documents, one after the other
    documents.bin    where each document begins in it, as uint64
    tokens.json      what they are: dtype, count, documents, splits, the sha256 of tokens.bin and of tokenizer.json
    tokenizer.json   the tokenizer that made them
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ..tokenizers import load

TOKENS, DOCUMENTS, FACTS = "tokens.bin", "documents.bin", "tokens.json"


class TokenFile:
    """ids (N,) of the whole corpus, train_ids and val_ids its parts, starts (D,) of its documents: memory maps, of
    which only what is looked at is read. facts: the content of tokens.json.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.facts = _facts(self.folder / FACTS)
        self.ids = self._map(TOKENS, self.facts["dtype"], self.facts["count"])
        self.starts = self._map(DOCUMENTS, "uint64", self.facts["documents"])
        self.train_ids, self.val_ids = (self.ids[slice(*self.facts["splits"][name])] for name in ("train", "val"))
        if vocabulary_sha256(folder) != self.facts["vocabulary_sha256"]:
            raise ValueError(f"{self.folder}/tokenizer.json is not the tokenizer that made {TOKENS}: its sha256 is not "
                             f"the one in {FACTS}; prepare the corpus again")
        self.tokenizer = load(folder)

    def _map(self, name, dtype, count):
        path, size = self.folder / name, count * np.dtype(dtype).itemsize
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, though {FACTS} is there; prepare the corpus again")
        there = path.stat().st_size
        if there != size:
            raise ValueError(f"{path} has {there:,} bytes, but {FACTS} beside it says {count:,} × {dtype}, which are "
                             f"{size:,}: it was cut short or changed; prepare the corpus again")
        return np.memmap(path, dtype, mode="r", shape=(count,))

    def check_content(self):
        """Raise where the ids are not those that were written; reads all of them."""
        found = hashlib.sha256()
        with open(self.folder / TOKENS, "rb") as file:
            while block := file.read(1 << 22):
                found.update(block)
        if found.hexdigest() != self.facts["sha256"]:
            raise ValueError(f"{self.folder / TOKENS} was changed after it was written: its sha256 is not "
                             f"{self.facts['sha256']}; prepare the corpus again")


def is_prepared(folder):
    return Path(folder, FACTS).is_file()


def vocabulary_sha256(folder):
    """The sha256 of the tokenizer in a folder: of two that are equal, ids mean the same."""
    return hashlib.sha256(load(folder).to_json().encode("utf-8")).hexdigest()


def _facts(path):
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        np.dtype(facts["dtype"]), int(facts["documents"]), str(facts["sha256"]), str(facts["vocabulary_sha256"])
        (start, middle), (same, end) = facts["splits"]["train"], facts["splits"]["val"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what `tinyllm data prepare` writes ({type(error).__name__}: {error}); prepare "
                         "the corpus again") from error
    if not (start == 0 <= middle == same <= end == facts["count"]):
        raise ValueError(f"{path}: its splits, {facts['splits']}, are not the count of {facts['count']} in two parts")
    return facts
