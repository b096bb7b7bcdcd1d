"""From a text to batches: read it, split its ids, cut windows out of them; and torch's Dataset and DataLoader."""

from .corpora import python_manual, read_text, read_texts
from .dataset import Dataset, TensorDataset
from .loader import DataLoader, RandomBatches
from .windows import PackedDataset, WindowDataset, split

__all__ = ["DataLoader", "Dataset", "PackedDataset", "RandomBatches", "TensorDataset", "WindowDataset", "python_manual",
           "read_text", "read_texts", "split"]  # fmt: skip
