"""A text as a training sees it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..data import split
from ..data.tokenfile import TokenFile
from ..tokenizers import CharTokenizer

SPLIT = (0.9, 0.1)  # training and validation text, nanoGPT's


@dataclass(frozen=True)
class Corpus:
    tokenizer: object  # one of tinyllm.tokenizers
    train_ids: np.ndarray  # (N,)
    val_ids: np.ndarray  # what comes after them in the text
    prompt: np.ndarray  # the samples go on from here: the beginning of the text
    text_sha256: str

    @classmethod
    def of(cls, text, block_size, tokenizer=None):
        """A text, of which the last tenth is for validation; tokenizer: by default the text's own characters."""
        tokenizer = tokenizer or CharTokenizer.train(text)
        ids = tokenizer.encode(text)
        what = "characters" if isinstance(tokenizer, CharTokenizer) else "tokens"
        n = len(ids) - int(SPLIT[0] * len(ids))
        if n <= block_size:
            raise ValueError(f"the validation text, the last tenth of {len(ids):,} {what}, has {n}: "
                             f"too few for a window of --block-size {block_size}; give a longer text, or a smaller "
                             "block")
        train_ids, val_ids = split(ids, SPLIT)
        return cls(tokenizer, train_ids, val_ids, ids[: min(block_size, 64)], text_sha256(text))

    @classmethod
    def prepared(cls, folder, block_size):
        """What `tinyllm data prepare` left in a folder; its ids stay on the disk until they are looked at."""
        file = TokenFile(folder)
        for part, ids in (("training", file.train_ids), ("validation", file.val_ids)):
            if len(ids) <= block_size:
                raise ValueError(f"the {part} part of {folder} has {len(ids):,} tokens: too few for a window of "
                                 f"--block-size {block_size}; prepare it with another --val-fraction, or choose a "
                                 "smaller block")
        return cls(file.tokenizer, file.train_ids, file.val_ids, file.ids[: min(block_size, 64)], file.facts["sha256"])


def text_sha256(text):
    """What tells a text from others."""
    return hashlib.sha256(text.encode()).hexdigest()
