"""The first model of the road: the next token depends on the last one alone."""

from .. import nn
from ..random import draw_from
from .language_model import LanguageModel


class Bigram(LanguageModel):
    """Row i of the table holds the score of every token that may follow token i.

    ids (B, T) integers  ->  logits (B, T, V)
    """

    block_size = 1  # how far it looks back when it generates

    def __init__(self, vocab_size, seed=0, dtype="float32"):
        with draw_from(seed):
            self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)
        self.to(dtype)

    def forward(self, ids):
        return self.token_embedding_table(ids)
