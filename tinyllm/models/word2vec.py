"""word2vec (Mikolov et al. 2013, arXiv:1301.3781 and 1310.4546): vectors in which words of like company are alike."""

import numpy as np

from .. import nn, ops
from ..backend import array_module
from ..random import draw_from


class Word2Vec(nn.Module):
    """Skip-grams with negative sampling: tell the words that stand around a word from words drawn by chance.

    Row i of `input` is the vector of word i, the one that is kept for use; of `output` its vector as a neighbour.
    """

    def __init__(self, vocab_size, n_embd=100, seed=0, dtype="float32"):
        with draw_from(seed):
            self.input = nn.Embedding(vocab_size, n_embd, std=0.5 / n_embd)
            self.output = nn.Embedding(vocab_size, n_embd, std=0.0)
        self.to(dtype)

    def loss(self, centres, contexts, negatives):
        """−log σ(u · v) − Σ log σ(−uₖ · v), in the mean over P pairs: v of the centre, u of the context and u₁ … u_K of
        words that are no neighbours (1310.4546, equation 4).

        centres (P,) integers  contexts (P,) integers  negatives (P, K) integers  ->  loss ()
        """
        others = np.concatenate([np.asarray(contexts)[:, None], negatives], axis=1)  # (P, 1 + K)
        v = self.input(centres).unsqueeze(-1)  # (P, C, 1)
        scores = (self.output(others) @ v).squeeze(-1)  # (P, 1 + K)
        is_neighbour = array_module(scores.data).zeros(others.shape, scores.dtype)
        is_neighbour[:, 0] = 1
        return ops.binary_cross_entropy_with_logits(scores, is_neighbour, reduction="sum") / len(others)
