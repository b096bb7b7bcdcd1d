"""The KV cache: a new token costs the arithmetic of one position, and not that of all positions so far.

What a block computes at a position depends on the tokens up to there alone. Of what it computed, later positions
look at two vectors, the key and the value of each head. So these are kept, for as long as the tokens before stay.
"""

import math

import numpy as np

from ..backend import array_module, backend_of, to, to_numpy
from ..methods import Tensor
from ..ops.softmax import softmax_forward
from ..rounding import wide
from .decode import DecodeStep, can_step


class KVCache:
    """Gives the scores that `model`, a GPT, gives, for batch_size sequences of up to `length` tokens.

    It holds numbers of the model's dtype: 2 · n_layer · batch_size · length · n_embd numbers.
    """

    def __init__(self, model, batch_size, length):
        config, weight = model.config, model.wte.weight.data
        length = min(length, config.block_size)
        shape = (config.n_layer, 2, batch_size, config.n_head, length, config.n_embd // config.n_head)
        self.kv = array_module(weight).zeros(shape, weight.dtype)  # (L, 2, B, H, length, D)
        self.ids = np.empty((batch_size, 0), np.int64)  # those whose keys and values it holds
        self.model, self.step = model, None

    def __call__(self, ids):
        """The scores of the token that follows ids; computed are the positions from the first new token on.

        Beyond block_size the window moves: each token then stands one place earlier, so all keys and values change,
        and all of the window is computed anew, as it is without a cache.

        ids (B, T) integers  ->  logits (B, V)
        """
        return self.answer(ids)[1]

    def answer(self, ids, greedy=False):
        """The same scores, and before them the likeliest ids (B,): None where they are still to be found. On a GPU,
        where a greedy answer is wanted and can be had, only its ids have come to the host, and the scores have not.

        ids (B, T) integers  ->  ids (B,) or None, logits (B, V)
        """
        ids = ids[:, -self.model.block_size :]
        start = min(shared(self.ids, ids), ids.shape[1] - 1)  # the last position is always asked for
        self.ids = ids[:, :start]  # should the forward be interrupted: what is beyond may be half of it
        if start == ids.shape[1] - 1 and self.stepping():
            found = self.step.likeliest(ids[:, -1], start) if greedy else (None, self.step.scores(ids[:, -1], start))
        else:
            found = None, to_numpy(self.forward(ids[:, start:], start).data)
        self.ids = ids
        return found

    def stepping(self):
        """Whether one token more is a step of its own: where there are kernels, on a GPU. It is made when needed."""
        if not can_step(self.kv):
            return False
        if self.step is None or not self.step.fits(self):
            self.step = DecodeStep(self)
        return True

    def forward(self, ids, start):
        """GPT.forward for the tokens from position `start` on; only the last one is scored.

        ids (B, T) integers  ->  logits (B, V)
        """
        model = self.model
        return self.through(model.wte(ids) + model.wpe.weight[start : start + ids.shape[1]], start)

    def through(self, x, start):
        """What the blocks and the output layer make of the embeddings of the positions from `start` on.

        x (B, T, C)  ->  logits (B, V)
        """
        for block, kv in zip(self.model.h, self.kv):
            x = x + attention(block.attn, block.ln_1(x), kv, start)
            x = x + block.mlp(block.ln_2(x))
        return self.model.lm_head(self.model.ln_f(x[:, -1]))

    def reorder(self, rows):
        """Sequence i goes on from what sequence rows[i] was: beams that branch."""
        kv, self.ids = self.kv[:, :, to(rows, backend_of(self.kv))], self.ids[rows]
        if kv.shape == self.kv.shape:
            self.kv[...] = kv  # where it was: a step may be a graph, which knows the place
        else:
            self.kv = kv.copy()  # one row of numbers after the other


class NoCache:
    """The same scores, with every position computed every time: what a KVCache is held against."""

    def __init__(self, model):
        self.model = model

    def __call__(self, ids):
        logits = self.model(ids[:, -self.model.block_size :])  # (B, T, V)
        return to_numpy(logits.data[:, -1])

    def reorder(self, rows):
        """Nothing is kept, so nothing has to move."""


def attention(attn, x, kv, start):
    """ops/attention.py with the steps named there; the queries are those of the new positions, start and later.

    x (B, T, C)  kv (2, B, H, length, D)  ->  y (B, T, C)
    """
    B, T, C = x.shape
    qkv = attn.c_attn(x).data  # (B, T, 3C)
    xp, end = array_module(qkv), start + T
    # 1. split; the new keys and values join those that are there
    q, *new = qkv.reshape(B, T, 3, attn.n_head, -1).transpose(2, 0, 3, 1, 4)  # each (B, H, T, D)
    kv[0, :, :, start:end], kv[1, :, :, start:end] = new
    k, v = kv[:, :, :, :end]  # (B, H, end, D)
    # 2. scores
    S = wide(q) @ wide(k).swapaxes(-1, -2) / math.sqrt(q.shape[-1])  # (B, H, T, end)
    # 3. mask: one query alone has no future
    if T > 1:
        S = xp.where(xp.triu(xp.ones((T, end), bool), start + 1), -math.inf, S)
    # 4. softmax   6. weighted mean of the values   7. heads side by side
    P, _ = softmax_forward(S)
    y = (P @ wide(v)).transpose(0, 2, 1, 3).reshape(B, T, C)
    return attn.c_proj(Tensor(y.astype(qkv.dtype, copy=False)))


def shared(a, b):
    """How many tokens the rows of a and b begin with in common.

    a (B, S)  b (B, T)  ->  n
    """
    n = min(a.shape[1], b.shape[1])
    same = (a[:, :n] == b[:, :n]).all(axis=0)
    return n if same.all() else int(same.argmin())
