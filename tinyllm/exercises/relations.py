"""How one array may follow from another: what the hints look for."""

import numpy as np

SAME = 1e-8  # of the largest entry


def same(a, b):
    if a.shape != b.shape:
        return False
    return bool((np.abs(a - b) <= SAME * max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))).all())


def turned(a):
    """a with its last two axes exchanged."""
    return a.swapaxes(-1, -2) if a.ndim > 1 else a


def broadcasts(small, large):
    """Whether an array of shape `small` can be repeated to `large`."""
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return False


def factor(a, b):
    """The number c of a = c · b; None where there is none, or 0."""
    square = float((b * b).sum())
    c = float((a * b).sum()) / square if square else 0.0
    return c if c and same(a, c * b) else None


def is_product(result, a, b):
    return isinstance(b, np.ndarray) and broadcasts(b.shape, a.shape) and same(result, a * b)


def in_span(a, basis):
    """Whether all vectors of `a`, along one of its axes, are sums of multiples of those of the arrays in `basis`."""
    if any(b is None or b.shape != a.shape or b.dtype.kind != "f" for b in basis):
        return False
    return any(_in_span_along(axis, a, basis) for axis in range(a.ndim) if a.shape[axis] > len(basis))


def _in_span_along(axis, a, basis):
    rows = np.moveaxis(a, axis, -1).reshape(-1, a.shape[axis])
    bases = [np.moveaxis(b, axis, -1).reshape(rows.shape) for b in basis]
    fitted = np.empty_like(rows)
    for i, row in enumerate(rows):
        vectors = np.stack([b[i] for b in bases], axis=-1)
        fitted[i] = vectors @ np.linalg.lstsq(vectors, row, rcond=None)[0]
    return same(fitted, rows)
