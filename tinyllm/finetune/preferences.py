"""Batches of pairs of answers."""

from dataclasses import dataclass

import numpy as np

from ..backend import array_module, number
from ..tensor import Tensor
from .conversations import Message
from .examples import IGNORED, Example, encode, encode_rows, pad


@dataclass(frozen=True)
class EncodedPair:
    chosen: Example
    rejected: Example
    margin: float
    tie: bool

    def __len__(self):
        return max(len(self.chosen.ids), len(self.rejected.ids))


def encode_pairs(pairs, template, tokenizer, block_size):
    """The EncodedPairs of all that fit, and how many do not."""

    def encode_one(pair):
        answers = [encode((*pair.messages, Message("assistant", answer)), template, tokenizer, block_size,
                          pair.place) for answer in (pair.chosen, pair.rejected)]  # fmt: skip
        return EncodedPair(*answers, pair.margin, pair.tie)

    return encode_rows(pairs, encode_one)


def pair_batch(pairs, dtype="float32"):
    """[ids (B, 2, T), targets (B, 2, T), last (B, 2), margin (B,), tie (B,)]: of each pair the chosen answer, then the
    rejected one; last: where a conversation has its last token.
    """
    rows = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
    ids, targets = pad([row.ids for row in rows], 0), pad([row.targets for row in rows], IGNORED)
    last = np.array([len(row.ids) - 1 for row in rows])
    shape = (len(pairs), 2)
    margin = np.array([pair.margin for pair in pairs], dtype)
    tie = np.array([pair.tie for pair in pairs])
    arrays = ids.reshape(*shape, -1), targets.reshape(*shape, -1), last.reshape(shape), margin, tie
    return list(map(Tensor, arrays))


def both(x):
    """What stands in two columns, apart: x (B, 2)  ->  chosen (B,)  rejected (B,)"""
    return x[:, 0], x[:, 1]


def wins(chosen, rejected, tie):
    """The share of pairs in which the chosen answer has more; a tie counts as neither, half a win where all are."""
    xp, counted = array_module(tie), ~tie
    n = counted.sum()
    return number(xp.where(n > 0, ((chosen > rejected) & counted).sum() / xp.maximum(n, 1), 0.5))
