"""Labels as numbers that a loss takes."""

import numpy as np


class Targets:
    """Labels as numbers to learn: ids of classes, 0s and 1s, or numbers of mean 0 and standard deviation 1."""

    def __init__(self, split, problem):
        self.problem, self.classes = problem, split.classes
        self.place = {name: i for i, name in enumerate(split.classes)}
        self.size = len(split.classes) or 1
        if problem == "regression":
            numbers = [e.label for e in split.train]
            self.mean, self.std = float(np.mean(numbers)), float(np.std(numbers)) or 1.0
        if problem == "single-label":
            counts = np.bincount([self.place[e.label] for e in split.train], minlength=self.size)
            self.class_weights = len(split.train) / (self.size * counts)  # their mean over the training texts is 1

    def __call__(self, examples, dtype):
        if self.problem == "single-label":
            return np.array([self.place[e.label] for e in examples])
        if self.problem == "multi-label":
            return self.present(examples).astype(dtype)
        return ((np.array([[e.label] for e in examples]) - self.mean) / self.std).astype(dtype)

    def present(self, examples):
        """(N, K) bool: which class each example has."""
        found = np.zeros((len(examples), self.size), bool)
        for row, e in zip(found, examples):
            row[[self.place[name] for name in ([e.label] if self.problem == "single-label" else e.label)]] = True
        return found

    def weights(self, examples, balance):
        """(N,): how much each example counts."""
        if balance != "weights" or self.problem != "single-label":
            return np.ones(len(examples))
        return self.class_weights[[self.place[e.label] for e in examples]]

    def numbers(self, logits):
        """The numbers that logits (N, 1) stand for, (N,)."""
        return logits[:, 0] * self.std + self.mean

    def described(self, problem):
        """What config.json says about the labels."""
        if problem == "regression":
            return {"label_mean": self.mean, "label_std": self.std}
        return {"id2label": {str(i): name for i, name in enumerate(self.classes)}, "label2id": self.place}
