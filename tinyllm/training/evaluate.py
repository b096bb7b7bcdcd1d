"""How good is a model on text it has not learned from?"""

from ..backend import number, read_numbers
from ..data import DataLoader, WindowDataset


def evaluate(model, ids, batch_size):
    """The mean cross-entropy, in nats a token, over ids cut into consecutive windows, every position counted.

    A mean over everything, not an estimate from random batches: two runs can be compared to the last digit.

    ids (N,) integers  ->  loss, a float
    """
    losses, counts = [], []
    with model.evaluating():
        for inputs, targets in DataLoader(WindowDataset(ids, model.block_size), batch_size):
            losses.append(number(model.loss(inputs, targets).data))
            counts.append(targets.data.size)
    return sum(loss * n for loss, n in zip(read_numbers(losses), counts)) / sum(counts)
