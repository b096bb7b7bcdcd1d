"""The rules between a row of logits and the next token. Each takes and gives one row (V,); −∞ is "never"."""

import numpy as np


def repetition_penalty(logits, seen, penalty):
    """Scores of the tokens `seen` already: divided by penalty where above 0, else multiplied (CTRL, arXiv:1909.05858).

    Above 1 they become less likely, below 1 more.

    logits (V,)  seen (T,) ids  ->  logits (V,)
    """
    changed = logits.copy()
    scores = logits[seen]
    changed[seen] = np.where(scores > 0, scores / penalty, scores * penalty)
    return changed


def temperature(logits, t):
    """(logits − their largest) / t: below 1 the likely tokens gain, above 1 the unlikely ones

    logits (V,)  ->  logits (V,)
    """
    with np.errstate(over="ignore"):  # −∞ is what a score far below the largest one becomes at a t next to 0
        return (logits - logits.max()) / t


def greedy(logits):
    """Only the highest score: what a temperature of 0 leaves. Of several, the one of the lowest id.

    logits (V,)  ->  logits (V,)
    """
    return only(logits, [logits.argmax()])


def top_k(logits, k):
    """Only the k highest may be drawn. A tie for the last place goes to the lower id.

    logits (V,)  ->  logits (V,)
    """
    if k >= len(logits):
        return logits
    kth = np.partition(logits, -k)[-k]  # the k-th highest score
    keep = np.concatenate((np.flatnonzero(logits > kth), np.flatnonzero(logits == kth)))
    return only(logits, keep[:k])


def top_p(logits, p):
    """Only the fewest tokens that have a probability of p together (nucleus sampling, arXiv:1904.09751).

    logits (V,)  ->  logits (V,)
    """
    left = candidates(logits)
    order = left[np.argsort(-logits[left], kind="stable")]  # from the likeliest on
    probabilities = softmax(logits[order])
    before = np.cumsum(probabilities) - probabilities  # what the likelier ones have together
    return only(logits, order[before < p])


def min_p(logits, p):
    """Only the tokens that are at least p times as likely as the likeliest (arXiv:2407.01082).

    logits (V,)  ->  logits (V,)
    """
    return only(logits, np.flatnonzero(np.exp(logits - logits.max()) >= p))


def sample(logits, u):
    """The token whose stretch of the unit interval, as long as its probability, u falls into.

    logits (V,)  ->  id
    """
    left = candidates(logits)
    edges = np.cumsum(softmax(logits[left]))
    return int(left[np.searchsorted(edges[:-1], u * edges[-1], side="right")])


def candidates(logits):
    """The ids that no rule has cut.

    logits (V,)  ->  ids (n,)
    """
    return np.flatnonzero(logits > -np.inf)


def only(logits, keep):
    """The same scores at the ids `keep`, and −∞ everywhere else."""
    cut = np.full_like(logits, -np.inf)
    cut[keep] = logits[keep]
    return cut


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def log_softmax(logits):
    """The logarithms of the probabilities, over the last axis.

    logits (..., V)  ->  log_probs (..., V)
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
