"""DataLoader, as in torch: the items of a dataset, put together into batches."""

import math
from itertools import count, islice

import numpy as np

from ..random import draw_from
from .collate import collate, convert
from .workers import in_order


class DataLoader:
    """The batches of a dataset, each `for` an epoch.

    batch_size: items a batch; None gives single items. drop_last: leave out a last batch that is short.
    shuffle: a new order in each epoch, which follows from (seed, epoch) alone; epochs count from 0.
    sampler: the numbers of the items in the order to take them, in place of shuffle.
    batch_sampler: lists of such numbers, in place of batch_size, shuffle, sampler and drop_last. Samplers are anything
    that can be iterated again; one with a method set_epoch is told the epoch first, as torch's DistributedSampler is.
    collate_fn: makes a batch of a list of items (or something of an item, where batch_size is None).
    num_workers: threads that make the next batches while one is used. They change nothing else: the same batches come
    in the same order, even where items draw from tinyllm's `generator()`, which starts anew for each batch.

    `state_dict()` says, at any time, which batch comes next, and `load_state_dict` goes on with it.
    """

    def __init__(self, dataset, batch_size=1, shuffle=False, sampler=None, batch_sampler=None, num_workers=0,
                 collate_fn=None, drop_last=False, seed=0):  # fmt: skip
        if batch_size is not None and not _is_integer(batch_size, at_least=1):
            raise ValueError(f"DataLoader: batch_size must be a positive integer, or None, got {batch_size!r}")
        for name, value in (("num_workers", num_workers), ("seed", seed)):
            if not _is_integer(value, at_least=0):
                raise ValueError(f"DataLoader: {name} must be an integer from 0 on, got {value!r}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler says the order, and so does shuffle; give one of them")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: a batch_sampler says which items make a batch, and so do batch_size, "
                             "shuffle, sampler and drop_last; leave them out")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: batch_size=None gives single items, so there is no last batch to drop")
        self.dataset, self.sampler, self.batch_sampler = dataset, sampler, batch_sampler
        self.batch_size = batch_size if batch_sampler is None else None
        self.shuffle, self.drop_last, self.num_workers, self.seed = shuffle, drop_last, num_workers, seed
        self._single = batch_size is None  # items, and not lists of them
        self.collate_fn = collate_fn or (convert if self._single else collate)
        self._start = self._position = 0, 0  # epoch and batch: where the next `for` begins, and where this one is

    def __len__(self):
        """How many batches an epoch has."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        n = len(self.dataset if self.sampler is None else self.sampler)
        if self._single:
            return n
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def __iter__(self):
        epoch, done = self._start
        self._start = epoch + 1, 0
        jobs = ((epoch, number, indices) for number, indices in zip(count(done), self._indices(epoch, done)))
        made = in_order(self._make, jobs, self.num_workers) if self.num_workers else map(self._make, jobs)
        for done, batch in enumerate(made, done + 1):
            self._position = epoch, done
            yield batch
        self._position = epoch + 1, 0

    def _indices(self, epoch, done):
        """What each batch of an epoch is made of, but for those done: the numbers of its items (or of the one item)."""
        sampler = self.sampler if self.batch_sampler is None else self.batch_sampler
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        if sampler is None:
            sampler = range(len(self.dataset))
            if self.shuffle:
                sampler = map(int, np.random.default_rng([self.seed, epoch]).permutation(len(sampler)))
        if hasattr(sampler, "starting_at"):
            return sampler.starting_at(done)
        in_batches = self._single or self.batch_sampler is not None
        return islice(sampler if in_batches else self._batched(sampler), done, None)

    def _batched(self, indices):
        indices = iter(indices)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def _make(self, job, check=lambda: None):
        """The batch of a job; check() raises where nobody waits for it any more."""
        epoch, number, indices = job
        try:
            with draw_from([self.seed, epoch, number + 1]):  # numpy takes [seed, epoch, 0] for [seed, epoch]
                return self.collate_fn(self._items(indices, check))
        except Exception as error:
            error.add_note(f"while a DataLoader made batch {number} of epoch {epoch}, of the items {indices!r:.80}")
            raise

    def _items(self, indices, check):
        if self._single:
            return self.dataset[indices]
        if hasattr(self.dataset, "__getitems__"):  # torch's name for a way to get several at once
            return self.dataset.__getitems__(indices)
        items = []
        for index in indices:
            check()
            items.append(self.dataset[index])
        return items

    # where it is

    def _settings(self):
        """What a state must agree in: with other settings, the batch of a number would be another one."""
        return {"seed": self.seed, "shuffle": self.shuffle, "batch_size": self.batch_size,
                "drop_last": self.drop_last, "items": getattr(self.dataset, "__len__", lambda: None)()}  # fmt: skip

    def state_dict(self):
        """Which batch comes next, for JSON: after the last one that was given out, however many are made already."""
        epoch, batch = self._position
        return {"epoch": epoch, "batch": batch, **self._settings()}

    def load_state_dict(self, state):
        """Let the next `for` go on, within its epoch, with the batch that comes next in state."""
        for name, value in self._settings().items():
            if state[name] != value:
                raise ValueError(f"DataLoader: the state is of a loader with {name}={state[name]}, this one has "
                                 f"{value}; make it as that one was made")
        self._start = self._position = state["epoch"], state["batch"]


class RandomBatches:
    """A batch_sampler without an end: batch k holds batch_size of the numbers below n, drawn with replacement.

    It follows from (seed, k) alone, so a loader that goes on at batch k need not draw those before it.
    """

    def __init__(self, n, batch_size, seed):
        if n < 1 or batch_size < 1:
            raise ValueError(f"RandomBatches: n and batch_size must be at least 1, got {n} and {batch_size}")
        self.n, self.batch_size, self.seed = n, batch_size, seed

    def __iter__(self):
        return self.starting_at(0)

    def starting_at(self, k):
        for k in count(k):
            yield np.random.default_rng([self.seed, k]).integers(self.n, size=self.batch_size).tolist()


def _is_integer(value, at_least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least
