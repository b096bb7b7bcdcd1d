"""Multinomial naive Bayes on words: counting, and nothing learned of order. On short texts it is hard to beat."""

import re
from collections import Counter

import numpy as np


def words(text):
    """The words of a text, without case."""
    return re.findall(r"\w+", text.lower())


class NaiveBayes:
    """log P(class | text) = log P(class) + Σ log P(word | class) + constant, as if words were drawn one by one

    P(word | class) = (count of the word in the class + 1) / (words in the class + V): nothing is impossible. Words
    that no training text has say nothing. texts: list of str  labels (N,) integers
    """

    def __init__(self, texts, labels, n_classes):
        labels = np.asarray(labels)
        counts = [Counter() for _ in range(n_classes)]
        for text, label in zip(texts, labels):
            counts[label].update(words(text))
        self.ids = {word: i for i, word in enumerate(sorted(set().union(*counts)))}
        table = np.array([[count[word] for word in self.ids] for count in counts])  # (K, V)
        self.log_word = np.log((table + 1) / (table.sum(axis=1, keepdims=True) + len(self.ids)))
        self.log_class = np.log(np.bincount(labels, minlength=n_classes) / len(labels))

    def predict(self, texts):
        """The likeliest class of each text, (N,) integers."""
        scores = [self.log_class + self.log_word[:, [self.ids[w] for w in words(text) if w in self.ids]].sum(axis=1)
                  for text in texts]  # fmt: skip
        return np.argmax(scores, axis=1)
