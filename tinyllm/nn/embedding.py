"""The embedding: a table with a vector for each token."""

from .. import ops
from ..backend import backend_of, ids_to
from ..methods import Tensor
from . import init
from .module import Module


class Embedding(Module):
    """y = weight[ids]

    weight (V, C)  ·  ids (...) integers  ->  y (..., C)
    """

    def __init__(self, num_embeddings, embedding_dim, std=1.0):
        self.weight = init.normal((num_embeddings, embedding_dim), std)

    def forward(self, ids):
        return ops.embedding(beside(self.weight, ids, len(self.weight)), self.weight)

    def extra_repr(self):
        return "{}, {}".format(*self.weight.shape)


def beside(x, ids, size, what="token id", ignored=None):
    """ids below size, as a Tensor where tensor x is. What goes to a GPU is looked at on the host (see `ids_to`)."""
    ids = ids if isinstance(ids, Tensor) else Tensor(ids)
    data = ids_to(ids.data, backend_of(x.data), size, what, ignored)
    return ids if data is ids.data else Tensor(data)
