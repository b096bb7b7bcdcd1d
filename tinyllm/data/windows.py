"""Windows of a long row of token ids: what a language model reads, and what it has to say.

    ids      t h e _ c a t _ s a t        block_size T = 4
    inputs   t h e _                      at every position the target is the token that comes next,
    targets  h e _ c                      so one window is T examples: t → h, th → e, the → _, the_ → c
"""

import numpy as np

from ..backend import to_numpy
from ..tensor import Tensor
from .dataset import Dataset

IGNORED = -100  # a target that no loss counts, as in torch


def split(ids, fractions=(0.9, 0.1)):
    """Consecutive pieces of ids (views), for training, validation, ...: of int(fraction · n) tokens, the last the rest.

    ids (n,)  ->  one array a fraction
    """
    if any(fraction < 0 for fraction in fractions) or not abs(sum(fractions) - 1) <= 1e-9:
        raise ValueError(f"split: fractions must be positive and sum to 1, got {tuple(fractions)}")
    ids = _row(ids, "a corpus is one row of integer ids")
    sizes = [int(fraction * len(ids)) for fraction in fractions[:-1]]
    pieces = np.split(ids, np.cumsum(sizes, dtype=int))
    if any(len(piece) == 0 for piece in pieces):
        raise ValueError(f"split: {len(ids)} tokens in pieces of {tuple(fractions)} give "
                         f"{', '.join(str(len(piece)) for piece in pieces)} tokens; a piece must not be empty")
    return pieces


class WindowDataset(Dataset):
    """Item i is the window that begins at i · stride: (inputs (T,), targets (T,)), int64, copies of their own.

    ids (n,): a list, an array or a Tensor; of a memory map only what an item needs is read. stride: by default
    block_size, so that windows lie side by side and every token is a target once, but for the first and for what is
    left at the end and fills no window. With stride 1 a window begins at every token.
    """

    def __init__(self, ids, block_size, stride=None):
        self.ids, self.block_size = _row(ids, "a corpus is one row of integer ids"), block_size
        self.stride = block_size if stride is None else stride
        if block_size < 1 or self.stride < 1:
            raise ValueError(f"block_size and stride must be at least 1, got {block_size} and {self.stride}")
        n = len(self.ids)
        if n < block_size + 1:
            raise ValueError(f"a window of block_size={block_size} and the token after it need {block_size + 1} "
                             f"tokens, this text has {n}; choose a smaller block_size or a longer text")

    def __len__(self):
        return (len(self.ids) - 1 - self.block_size) // self.stride + 1

    def __getitem__(self, index):
        start = self._start(index)
        window = self.ids[start : start + self.block_size + 1].astype(np.int64)
        return window[:-1], window[1:].copy()

    def _start(self, index):
        """Where window `index` begins; as in a list, negative numbers count from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return int(index) % len(self) * self.stride


class PackedDataset(WindowDataset):
    """Windows of documents that stand one after the other: every window is full, and nothing is padded.

    starts (N,): where each document begins in ids, in order. The first token of a document is nobody's target
    (−100): how the next document begins cannot be told from the end of another. The model still sees what stands
    before it in the window; it learns from the token that ends a document to pay no heed to that, as GPT-3 did
    (Brown et al. 2020, section B).
    """

    def __init__(self, ids, starts, block_size, stride=None):
        super().__init__(ids, block_size, stride)
        self.starts = starts = _row(starts, "starts are one row of offsets")
        if len(starts) == 0 or starts[0] != 0 or starts[-1] > len(self.ids) or (starts[1:] < starts[:-1]).any():
            raise ValueError(f"PackedDataset: starts must begin with 0 and rise to at most {len(self.ids)}, the number "
                             f"of tokens, got {np.array2string(starts, threshold=6)}")

    def __getitem__(self, index):
        inputs, targets = super().__getitem__(index)
        start = self._start(index)
        first, last = np.searchsorted(self.starts, [start + 1, start + self.block_size + 1])
        targets[self.starts[first:last].astype(np.int64) - start - 1] = IGNORED
        return inputs, targets


def _row(values, meaning):
    """values (a list, an array, a Tensor) as one row of integers."""
    values = to_numpy(Tensor(values).data)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(f"{meaning}, got {values.shape} {values.dtype}"
                         f"{'; encode the text first' if 'corpus' in meaning else ''}")
    return values
