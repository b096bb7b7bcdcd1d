"""Datasets, as in torch: items that have a number."""

from ..methods import Tensor


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
