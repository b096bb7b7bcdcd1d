"""A table of vectors, read by row number."""

from ..autograd import op
from ..backend import array_module, check_ids


def embedding_forward(ids, weight):
    """y = weight[ids]: row i of the table is the vector of token i

    ids (...) integers  weight (V, C)  ->  y (..., C)
    """
    if ids.dtype.kind == "b":
        raise TypeError("embedding: ids must be integers, not booleans")
    check_ids(ids, weight.shape[0], "token id")
    y = weight[ids]
    return y, (ids, weight.shape)


def embedding_backward(dy, ids, weight_shape):
    """dweight = 0, then dy is added to the rows that were read

    A token that occurs twice adds twice, which `dweight[ids] += dy` would not do.
    """
    xp = array_module(dy)
    dweight = xp.zeros(weight_shape, dy.dtype)
    xp.add.at(dweight, ids, dy)
    return None, dweight


embedding = op(embedding_forward, embedding_backward, discrete=("ids",))
