"""The matrix product."""

from ..autograd import op
from .arithmetic import unbroadcast


def matmul_forward(a, b):
    """y = a @ b, yᵢⱼ = Σₖ aᵢₖ bₖⱼ; axes in front of the last two are batches and broadcast; vectors as in torch

    a (..., N, K)  b (..., K, M)  ->  y (..., N, M)
    """
    y = a @ b
    return y, (a, b)


def matmul_backward(dy, a, b, needs=(True, True)):
    """da = dy @ bᵀ   db = aᵀ @ dy

    aᵢₖ reached every yᵢⱼ of its row, by way of bₖⱼ: daᵢₖ = Σⱼ dyᵢⱼ bₖⱼ. The transposes only say which index is summed.
    """
    A = a[None, :] if a.ndim == 1 else a  # a vector on the left is a row, one on the right a column
    B = b[:, None] if b.ndim == 1 else b
    dY = dy[..., None, :] if a.ndim == 1 and b.ndim > 1 else dy
    dY = dY[..., None] if b.ndim == 1 else dY
    dY = dY[..., None] if dY.ndim == 1 else dY
    da = db = None
    if needs[0]:
        dA = dY @ B.swapaxes(-1, -2)
        da = unbroadcast(dA, A.shape).reshape(a.shape)
    if needs[1]:
        dB = A.swapaxes(-1, -2) @ dY
        db = unbroadcast(dB, B.shape).reshape(b.shape)
    return da, db


matmul = op(matmul_forward, matmul_backward)
