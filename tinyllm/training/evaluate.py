"""How good is a model on text it has not learned from?"""

from ..data import windows


def evaluate(model, ids, batch_size=64):
    """The mean cross-entropy, in nats a token, over ids cut into consecutive windows, every position counted.

    A mean over everything, not an estimate from random batches: two runs can be compared to the last digit.

    ids (N,) integers  ->  loss, a float
    """
    inputs, targets = windows(ids, model.block_size)
    total = 0.0
    with model.evaluating():
        for start in range(0, len(inputs), batch_size):
            batch = slice(start, start + batch_size)
            total += model.loss(inputs[batch], targets[batch]).item() * targets[batch].size
    return total / targets.size
