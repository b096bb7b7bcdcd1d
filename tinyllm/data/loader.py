"""Dataset and DataLoader, as in torch: items by their number, and items put together into batches."""

import math

import numpy as np

from ..methods import Tensor
from ..ops import stack
from ..random import generator


class Dataset:
    """Items that have a number: a subclass says what `dataset[i]` is, and how many there are, `len(dataset)`."""

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index): one item")

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self): how many items there are")


class TensorDataset(Dataset):
    """Item i is (x[i], y[i], ...): tensors side by side, as examples and their labels."""

    def __init__(self, *tensors):
        self.tensors = tuple(x if isinstance(x, Tensor) else Tensor(x) for x in tensors)
        if len({len(x) for x in self.tensors}) != 1:
            raise ValueError("TensorDataset needs tensors of one length, got "
                             f"{', '.join(str(x.shape) for x in self.tensors) or 'none'}")

    def __getitem__(self, index):
        return tuple(x[index] for x in self.tensors)

    def __len__(self):
        return len(self.tensors[0])


class DataLoader:
    """The batches of a dataset, in order or shuffled anew by each `for`; the last one may be short.

    The order comes from the generator that `tinyllm.manual_seed` seeds.
    """

    def __init__(self, dataset, batch_size=1, shuffle=False):
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be a positive integer, got {batch_size!r}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        n = len(self.dataset)
        order = generator().permutation(n).tolist() if self.shuffle else range(n)
        for start in range(0, n, self.batch_size):
            yield collate([self.dataset[i] for i in order[start : start + self.batch_size]])


def collate(items):
    """One batch of B items: numbers, arrays and tensors are stacked; tuples and lists give a list, one batch a place.

    As in torch, what is stacked keeps its dtype; a Python float is a float64, an int an int64.

    items, B times (...)  ->  batch (B, ...)
    """
    if isinstance(items[0], (tuple, list)):
        n = len(items[0])
        if not all(isinstance(item, (tuple, list)) and len(item) == n for item in items):
            raise ValueError(f"DataLoader: the first item of the batch has {n} parts, another one has not; "
                             "give every item as many parts")
        return [collate(parts) for parts in zip(*items)]
    shapes = {np.shape(item) for item in items}
    if len(shapes) > 1:
        raise ValueError(f"DataLoader: items of shapes {', '.join(map(str, sorted(shapes)))} cannot be stacked; "
                         "bring them to one shape, as by padding")
    if any(isinstance(item, Tensor) for item in items):
        return stack(items)
    batch = np.stack(items)
    if batch.dtype.kind not in "fiub":
        bad = next(item for item in items if np.asarray(item).dtype.kind not in "fiub")
        raise TypeError("DataLoader stacks numbers, arrays and tensors, or tuples and lists of them, "
                        f"not a {type(bad).__name__} such as {repr(bad)[:40]}; make numbers of it")
    return Tensor(batch)
