"""How likely a model finds the tokens that do come."""

import numpy as np

from ..backend import array_module, backend_of, to, to_numpy

ROWS = 64  # rows of V scores that are in float64 at a time


def log_probs(model, ids, targets):
    """log p of each target after the ids up to its place, and whether it was the likeliest; 0 for a target of −100.

    ids (B, T) integers  targets (B, T) integers  ->  log_probs (B, T) float64  likeliest (B, T) bool
    """
    with model.evaluating():
        logits = model(ids).data  # (B, T, V)
    place, found, likeliest = backend_of(logits), np.zeros(targets.shape), np.zeros(targets.shape, bool)
    asked = np.nonzero(targets != -100)  # (row, position) of each
    for start in range(0, len(asked[0]), ROWS):
        at = tuple(index[start : start + ROWS] for index in asked)
        found[at], likeliest[at] = _of_rows(logits[tuple(to(i, place) for i in at)], targets[at])
    if not np.isfinite(found).all():
        raise ValueError("the model's scores are not finite numbers; its training diverged")
    return found, likeliest


def _of_rows(logits, targets):
    """log softmax(logits)[target]   logits (N, V)  targets (N,)  ->  log_probs (N,)  likeliest (N,)"""
    xp = array_module(logits)
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    log_sums = xp.log(xp.exp(logits).sum(axis=-1))
    chosen = logits[xp.arange(len(targets)), xp.asarray(targets)]
    return to_numpy(chosen - log_sums), to_numpy(logits.argmax(axis=-1)) == targets
