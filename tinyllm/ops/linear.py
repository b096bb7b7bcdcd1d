"""The linear layer."""

from ..autograd import op


def linear_forward(x, weight, bias=None):
    """y = x @ weight + bias

    x (..., I)  weight (I, O)  bias (O,)  ->  y (..., O)
    """
    rows = x.reshape(-1, x.shape[-1])  # (N, I): one large product instead of one a batch
    y = rows @ weight
    if bias is not None:
        y += bias
    y = y.reshape(*x.shape[:-1], weight.shape[1])
    return y, (x, weight)


def linear_backward(dy, x, weight, needs=(True, True, True)):
    """dx = dy @ weightᵀ   dweight = xᵀ @ dy   dbias = Σ dy, both summed over all rows of the batch

    The weight is the same for every row, so each row adds its share: that is the sum inside xᵀ @ dy.
    """
    drows = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx = dweight = dbias = None
    if needs[0]:
        dx = (drows @ weight.T).reshape(x.shape)
    if needs[1]:
        dweight = x.reshape(-1, x.shape[-1]).T @ drows
    if needs[2]:
        dbias = drows.sum(axis=0)
    return dx, dweight, dbias


linear = op(linear_forward, linear_backward)
