"""From a text to batches: read it, split its ids, cut windows out of them; and torch's Dataset and DataLoader."""

from .corpora import python_manual, read_text, read_texts
from .loader import DataLoader, Dataset, TensorDataset
from .windows import random_batch, split, windows

__all__ = ["DataLoader", "Dataset", "TensorDataset", "python_manual", "random_batch", "read_text", "read_texts",
           "split", "windows"]  # fmt: skip
