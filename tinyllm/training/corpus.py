"""A text as a training sees it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..data import split
from ..tokenizers import CharTokenizer

SPLIT = (0.9, 0.1)  # training and validation text, nanoGPT's


@dataclass(frozen=True)
class Corpus:
    tokenizer: CharTokenizer
    train_ids: np.ndarray  # (N,)
    val_ids: np.ndarray  # what comes after them in the text
    prompt: np.ndarray  # the samples go on from here: the beginning of the text
    text_sha256: str

    @classmethod
    def of(cls, text, block_size):
        tokenizer = CharTokenizer.train(text)
        ids = tokenizer.encode(text)
        n = len(ids) - int(SPLIT[0] * len(ids))
        if n <= block_size:
            raise ValueError(f"the validation text, the last tenth of {len(text):,} characters, has {n}: "
                             f"too few for a window of --block-size {block_size}; give a longer text, or a smaller "
                             "block")
        train_ids, val_ids = split(ids, SPLIT)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return cls(tokenizer, train_ids, val_ids, ids[: min(block_size, 64)], sha256)
