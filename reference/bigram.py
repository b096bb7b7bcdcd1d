"""The bigram language model in PyTorch: the logits of the next token are a row of one table."""

import torch.nn as nn
import torch.nn.functional as F


class Bigram(nn.Module):
    """One table (V, V): row i holds the logits of what follows token i."""

    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids):
        return self.token_embedding_table(ids)  # (B, T, V)

    def loss(self, ids, targets):
        """Mean cross-entropy over all positions; targets of -100 are left out."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten(), ignore_index=-100)
