"""Windows of a long row of token ids: what a language model reads, and what it has to say.

    ids      t h e _ c a t _ s a t        block_size T = 4
    inputs   t h e _                      at every position the target is the token that comes next,
    targets  h e _ c                      so one window is T examples: t → h, th → e, the → _, the_ → c
"""

import numpy as np

from ..backend import to_numpy
from ..tensor import Tensor


def split(ids, fractions=(0.9, 0.1)):
    """Consecutive pieces of ids (views), for training, validation, ...: of int(fraction · n) tokens, the last the rest.

    ids (n,)  ->  one array a fraction
    """
    if any(fraction < 0 for fraction in fractions) or not abs(sum(fractions) - 1) <= 1e-9:
        raise ValueError(f"split: fractions must be positive and sum to 1, got {tuple(fractions)}")
    ids = _row(ids)
    sizes = [int(fraction * len(ids)) for fraction in fractions[:-1]]
    pieces = np.split(ids, np.cumsum(sizes, dtype=int))
    if any(len(piece) == 0 for piece in pieces):
        raise ValueError(f"split: {len(ids)} tokens in pieces of {tuple(fractions)} give "
                         f"{', '.join(str(len(piece)) for piece in pieces)} tokens; a piece must not be empty")
    return pieces


def windows(ids, block_size):
    """All windows side by side, without overlap, for evaluation: every token is a target once, but for the first
    and for what is left at the end and fills no window.

    ids (n,)  ->  inputs (N, T), targets (N, T) int64   with N = (n − 1) // T
    """
    ids, T = _corpus(ids, block_size), block_size
    N = (len(ids) - 1) // T
    inputs = ids[: N * T].reshape(N, T)
    targets = ids[1 : N * T + 1].reshape(N, T)
    return inputs.astype(np.int64), targets.astype(np.int64)  # copies: nobody writes into the corpus


def random_batch(ids, block_size, batch_size, *, seed, step):
    """B windows that start anywhere, for training.

    They depend on (seed, step) alone: a run that resumes at a step makes its batch without those before it.

    ids (n,)  ->  inputs (B, T), targets (B, T) int64
    """
    ids = _corpus(ids, block_size)
    if batch_size < 1:
        raise ValueError(f"random_batch: batch_size must be at least 1, got {batch_size}")
    starts = np.random.default_rng([seed, step]).integers(len(ids) - block_size, size=batch_size)
    positions = starts[:, None] + np.arange(block_size)  # (B, T)
    return ids[positions].astype(np.int64), ids[positions + 1].astype(np.int64)


def _row(ids):
    """ids (a list, an array, a Tensor) as one row of integers."""
    ids = to_numpy(Tensor(ids).data)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"a corpus is one row of integer ids, got {ids.shape} {ids.dtype}; encode the text first")
    return ids


def _corpus(ids, block_size):
    """ids as a row that has a window of block_size and the token after it."""
    ids = _row(ids)
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    if len(ids) < block_size + 1:
        raise ValueError(f"a window of block_size={block_size} and the token after it need {block_size + 1} tokens, "
                         f"this text has {len(ids)}; choose a smaller block_size or a longer text")
    return ids
