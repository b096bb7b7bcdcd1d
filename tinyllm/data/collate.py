"""From items to a batch, as torch does it."""

from collections.abc import Mapping

import numpy as np

from ..methods import Tensor
from ..ops import stack


def collate(items):
    """One batch of B items: numbers, arrays and tensors are stacked, texts are listed. Of tuples and lists it makes a
    list with one batch for each of their places, of dictionaries a dictionary with one for each key.

    As in torch, what is stacked keeps its dtype; a Python float is a float64, an int an int64.

    items, B times (...)  ->  batch (B, ...)
    """
    first = items[0]
    if isinstance(first, (str, bytes)):
        return list(items)
    if isinstance(first, Mapping):
        return {key: collate([_part(item, key) for item in items]) for key in first}
    if isinstance(first, (tuple, list)):
        if not all(isinstance(item, (tuple, list)) and len(item) == len(first) for item in items):
            raise ValueError(f"DataLoader: the first item of the batch has {len(first)} parts, another one has not; "
                             "give every item as many parts")
        batches = [collate(parts) for parts in zip(*items)]
        return type(first)(*batches) if hasattr(first, "_fields") else batches  # a namedtuple stays one
    shapes = {np.shape(item) for item in items}
    if len(shapes) > 1:
        raise ValueError(f"DataLoader: items of shapes {', '.join(map(str, sorted(shapes)))} cannot be stacked; "
                         "bring them to one shape, as by padding, or give a collate_fn of your own")
    if any(isinstance(item, Tensor) for item in items):
        return stack(items)
    batch = np.stack(items)
    if batch.dtype.kind not in "fiub":
        bad = next(item for item in items if np.asarray(item).dtype.kind not in "fiub")
        raise TypeError("DataLoader stacks numbers, arrays and tensors, or tuples, lists and dictionaries of them, "
                        f"not a {type(bad).__name__} such as {repr(bad)[:40]}; make numbers of it, or give a "
                        "collate_fn of your own")
    return Tensor(batch)


def convert(item):
    """One item that is no batch (batch_size=None): its arrays become tensors, all else stays as it is."""
    if isinstance(item, (np.ndarray, np.generic)):
        return Tensor(item)
    if isinstance(item, Mapping):
        return {key: convert(part) for key, part in item.items()}
    if isinstance(item, (tuple, list)):
        parts = [convert(part) for part in item]
        return type(item)(*parts) if hasattr(item, "_fields") else parts
    return item


def _part(item, key):
    try:
        return item[key]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"DataLoader: the first item of the batch has the key {key!r}, another one has not; "
                         "give every item the same keys") from error
