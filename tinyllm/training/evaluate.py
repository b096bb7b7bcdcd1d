"""How good is a model on text it has not learned from?"""

from ..backend import backend_of, to
from ..data import DataLoader, WindowDataset


def evaluate(model, ids, batch_size):
    """The mean cross-entropy, in nats a token, over ids cut into consecutive windows, every position counted.

    A mean over everything, not an estimate from random batches: two runs can be compared to the last digit.

    ids (N,) integers  ->  loss, a float
    """
    place = backend_of(next(model.parameters()).data)
    total = count = 0
    with model.evaluating():
        for inputs, targets in DataLoader(WindowDataset(ids, model.block_size), batch_size):
            loss = model.loss(to(inputs.data, place), to(targets.data, place))
            total += loss.item() * targets.data.size
            count += targets.data.size
    return total / count
