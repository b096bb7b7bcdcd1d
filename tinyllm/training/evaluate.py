"""How good is a model on text it has not learned from?"""

from ..backend import backend_of, to
from ..data import windows


def evaluate(model, ids, batch_size):
    """The mean cross-entropy, in nats a token, over ids cut into consecutive windows, every position counted.

    A mean over everything, not an estimate from random batches: two runs can be compared to the last digit.

    ids (N,) integers  ->  loss, a float
    """
    inputs, targets = windows(ids, model.block_size)
    place = backend_of(next(model.parameters()).data)
    total = 0.0
    with model.evaluating():
        for start in range(0, len(inputs), batch_size):
            batch = slice(start, start + batch_size)
            loss = model.loss(to(inputs[batch], place), to(targets[batch], place))
            total += loss.item() * targets[batch].size
    return total / targets.size
