"""The rules between a row of logits and the next token. Each takes and gives one row (V,); −∞ is "never"."""

import numpy as np


def temperature(logits, t):
    """(logits − their largest) / t: below 1 the likely tokens gain, above 1 the unlikely ones

    logits (V,)  ->  logits (V,)
    """
    return (logits - logits.max()) / t


def top_k(logits, k):
    """Only the k highest may be drawn.

    logits (V,)  ->  logits (V,)
    """
    keep = np.argsort(-logits, kind="stable")[:k]
    cut = np.full_like(logits, -np.inf)
    cut[keep] = logits[keep]
    return cut


def top_p(logits, p):
    """Only the fewest tokens that have a probability of p together (nucleus sampling, arXiv:1904.09751).

    logits (V,)  ->  logits (V,)
    """
    order = np.argsort(-logits, kind="stable")
    probabilities = softmax(logits)[order]
    before = np.cumsum(probabilities) - probabilities  # what the more likely ones have together
    cut = logits.copy()
    cut[order[before >= p]] = -np.inf
    return cut


def sample(logits, u):
    """The token whose stretch of the unit interval, as long as its probability, u falls into.

    logits (V,)  ->  id
    """
    edges = np.cumsum(softmax(logits))
    return int(np.searchsorted(edges, u * edges[-1], side="right"))


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()
