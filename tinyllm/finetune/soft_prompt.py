"""Soft prompts (Lester et al. 2021, arXiv:2104.08691): vectors that stand before every text, and that no token has."""

import numpy as np

from .. import nn, ops
from ..backend import backend_of, to
from ..generation.cache import KVCache
from ..models import GPT


class SoftPrompt(GPT):
    """The layers of a GPT, frozen, with n vectors before what it reads; they alone learn. They begin as the vectors of
    some tokens.

    ids (B, T) integers, n + T ≤ block_size  ->  logits (B, T, V)
    """

    def __init__(self, gpt, n, seed=0):
        if not 1 <= n < gpt.block_size:
            raise ValueError(f"a soft prompt of {n} vectors leaves no room in block_size={gpt.block_size}")
        vars(self).update(vars(gpt.requires_grad_(False)))
        tokens = np.random.default_rng(seed).integers(gpt.config.vocab_size, size=n)
        self.prompt = nn.Parameter(gpt.wte.weight.data[to(tokens, backend_of(gpt.wte.weight.data))].copy())  # (n, C)

    @property
    def block_size(self):
        return self.config.block_size - len(self.prompt)

    def hidden(self, ids):
        """ids (B, T) integers  ->  x (B, T, C), without the places of the prompt"""
        x = self.drop(self.prompted(ids))
        for block in self.h:
            x = block(x)
        return self.ln_f(x)[:, len(self.prompt) :]

    def prompted(self, ids):
        """ids (B, T) integers  ->  x (B, n + T, C), what the first block reads"""
        words, n = self.wte(ids), len(self.prompt)  # (B, T, C)
        B, T, C = words.shape
        if T > self.block_size:
            raise ValueError(f"SoftPrompt: ids must be (B, T) with T ≤ {self.block_size}, got {(B, T)}; the prompt "
                             f"takes {n} of the {self.config.block_size} places")
        x = ops.cat([ops.broadcast_to(self.prompt, shape=(B, n, C)), words], axis=1)
        return x + self.wpe.weight[: n + T]

    def new_cache(self, batch_size, length):
        return PromptedCache(self, batch_size, len(self.prompt) + length)


class PromptedCache(KVCache):
    """A KVCache whose first places are those of the prompt."""

    def forward(self, ids, start):
        model, n = self.model, len(self.model.prompt)
        if start == 0:
            return self.through(model.prompted(ids), 0)
        return self.through(model.wte(ids) + model.wpe.weight[n + start : n + start + ids.shape[1]], n + start)
