"""How good are predictions of classes?"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """truth, predicted (N, K) bool: of each of N texts, which of K classes it has, and which it was said to have.

    Of each class, precision: the share of what was said to have it that has it; recall: the share of what has it that
    was said to; F1: their harmonic mean. What would be 0/0 is 0.
    """

    truth: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of_ids(cls, truth, predicted, n_classes):
        """Where every text has one class.

        truth (N,) integers  predicted (N,) integers
        """
        one_hot = np.eye(n_classes, dtype=bool)
        return cls(one_hot[truth], one_hot[predicted])

    @property
    def accuracy(self):
        """The share of texts about which everything was said right."""
        return float((self.truth == self.predicted).all(axis=1).mean())

    @property
    def confusion(self):
        """(K, K) integers: row i, column j is how many of class i were taken for class j."""
        return self.truth.T.astype(int) @ self.predicted

    @property
    def precision(self):
        return _share(self._right, self.predicted.sum(axis=0))

    @property
    def recall(self):
        return _share(self._right, self.truth.sum(axis=0))

    @property
    def f1(self):
        return _share(2 * self._right, self.predicted.sum(axis=0) + self.truth.sum(axis=0))

    @property
    def _right(self):
        return (self.truth & self.predicted).sum(axis=0)


def _share(part, whole):
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
