"""word2vec in PyTorch: skip-grams with negative sampling."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Word2Vec(nn.Module):
    """Two vectors for each word: one as the centre of a window, one as a word of its context."""

    def __init__(self, vocab_size, n_embd):
        super().__init__()
        self.input = nn.Embedding(vocab_size, n_embd)
        self.output = nn.Embedding(vocab_size, n_embd)

    def loss(self, centres, contexts, negatives):
        """centres (P,), contexts (P,), negatives (P, K): minus the log-likelihood of a pair, in the mean."""
        v = self.input(centres)  # (P, C)
        positive = (v * self.output(contexts)).sum(-1)  # (P,)
        negative = torch.einsum("pc,pkc->pk", v, self.output(negatives))  # (P, K)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(-1)).mean()
