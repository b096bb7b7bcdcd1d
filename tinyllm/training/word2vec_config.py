"""Everything that decides a training of word2vec. Loads no numpy, so that `tinyllm --help` is quick."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Word2VecConfig:
    data: tuple[str, ...] = ()
    "UTF-8 files to learn, folders of .txt files, or shakespeare, which is downloaded; by default Python's manual."
    n_embd: int = 64
    "Channels: the length of the vector of each word."
    window: int = 5
    "Furthest neighbour that counts, to both sides."
    negatives: int = 5
    "Words drawn by chance for each neighbour."
    min_count: int = 5
    "Words that occur less often are left out of the text."
    subsample: float = 1e-3
    "Words with a larger share of the text than this are thinned out."
    epochs: int = 10
    "How often the text is gone through."
    batch_size: int = 256
    "Words of the text whose neighbours are learned together."
    learning_rate: float = 3e-3
    "Learning rate of the first step; it falls to 0 in a straight line."
    seed: int = 1337
    "Start of all randomness."

    def __post_init__(self):
        object.__setattr__(self, "data", (self.data,) if isinstance(self.data, str) else tuple(self.data))
        for name in ("n_embd", "window", "negatives", "min_count", "epochs", "batch_size"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("seed", self.seed >= 0, "0 or more")
        for name in ("subsample", "learning_rate"):
            self._require(name, 0 < getattr(self, name) < math.inf, "more than 0")

    def _require(self, name, holds, expected):
        if not holds:
            raise ValueError(f"--{name.replace('_', '-')} must be {expected}, not {getattr(self, name)}")
