"""What a bias and its gradient are where no product takes them along."""


def add_bias(y, bias):
    """y (N, O) += bias (O,)"""
    y += bias


def sum_rows(x, out):
    """out (O,) = Σ over the rows of x (N, O)"""
    out[...] = x.astype("float32").sum(axis=0)
    return out
