"""Batches of texts: an epoch in a new order, texts of like length together."""

from itertools import count

import numpy as np

from ..data import DataLoader

POOL = 8  # batches among which texts are sorted by length: more leave less padding, and less chance


class EpochBatches:
    """A batch_sampler without an end: every item once an epoch, batch_size of them at a time, the last batch filled up
    from the beginning. The batches follow from (seed, k) alone: a loader that goes on at batch k makes none before.
    """

    def __init__(self, lengths, batch_size, seed):
        self.lengths, self.batch_size, self.seed = np.asarray(lengths), batch_size, seed
        self.per_epoch = -(-len(self.lengths) // batch_size)

    def __iter__(self):
        return self.starting_at(0)

    def starting_at(self, k):
        first, done = divmod(k, self.per_epoch)
        for epoch in count(first):
            yield from self.epoch(epoch)[done:].tolist()
            done = 0

    def epoch(self, epoch):
        """The batches of an epoch, (per_epoch, batch_size) integers."""
        rng = np.random.default_rng([self.seed, epoch])
        order = np.resize(rng.permutation(len(self.lengths)), self.per_epoch * self.batch_size)
        pools = np.split(order, range(POOL * self.batch_size, len(order), POOL * self.batch_size))
        order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        return rng.permutation(order.reshape(self.per_epoch, self.batch_size))


def epoch_batches(rows, collate, batch_size, seed, step):
    """The batches from step `step` on, without end: collate(numbers) of rows that are as long as `rows` are."""
    sampler = EpochBatches([len(row) for row in rows], batch_size, seed)
    loader = DataLoader(range(len(rows)), batch_sampler=sampler, collate_fn=collate)
    loader.load_state_dict(loader.state_dict() | {"batch": step})
    return iter(loader)
