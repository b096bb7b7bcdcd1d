"""The embedding: a table with a vector for each token."""

from .. import ops
from . import init
from .module import Module


class Embedding(Module):
    """y = weight[ids]

    weight (V, C)  ·  ids (...) integers  ->  y (..., C)
    """

    def __init__(self, num_embeddings, embedding_dim, std=1.0):
        self.weight = init.normal((num_embeddings, embedding_dim), std)

    def forward(self, ids):
        return ops.embedding(ids, self.weight)

    def extra_repr(self):
        return "{}, {}".format(*self.weight.shape)
