"""Soft prompts (Lester et al. 2021, arXiv:2104.08691): vectors that stand before every text, and that no token has."""

import numpy as np

from .. import nn, ops
from ..backend import backend_of, to
from ..models.language_model import LanguageModel


class SoftPrompt(LanguageModel):
    """A frozen GPT with n vectors before what it reads; they alone learn. They begin as the vectors of some tokens.

    ids (B, T) integers, n + T ≤ block_size  ->  logits (B, T, V)
    """

    def __init__(self, gpt, n, seed=0):
        if not 1 <= n < gpt.block_size:
            raise ValueError(f"a soft prompt of {n} vectors leaves no room in block_size={gpt.block_size}")
        self.gpt = gpt.requires_grad_(False)
        tokens = np.random.default_rng(seed).integers(gpt.config.vocab_size, size=n)
        self.prompt = nn.Parameter(gpt.wte.weight.data[to(tokens, backend_of(gpt.wte.weight.data))].copy())  # (n, C)

    @property
    def config(self):
        return self.gpt.config

    @property
    def block_size(self):
        return self.gpt.block_size - len(self.prompt)

    def forward(self, ids):
        return self.gpt.lm_head(self.hidden(ids))

    def hidden(self, ids):
        """ids (B, T) integers  ->  x (B, T, C), without the places of the prompt"""
        n, words = len(self.prompt), self.gpt.wte(ids)  # (B, T, C)
        B, T, C = words.shape
        x = ops.cat([ops.broadcast_to(self.prompt, shape=(B, n, C)), words], axis=1)
        x = self.gpt.drop(x + self.gpt.wpe.weight[: n + T])
        for block in self.gpt.h:
            x = block(x)
        return self.gpt.ln_f(x)[:, n:]
