"""The loop: score, choose, append."""

import math

import numpy as np

from ..backend import backend_of, to, to_numpy
from ..methods import Tensor
from . import sampling


def generate(model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, seed=0):
    """ids with max_new_tokens more. The model sees the last `block_size` of them and runs in evaluation mode.

    temperature 0 takes the highest score (greedy). The rules follow each other: temperature, top_k, top_p.
    One uniform number is drawn for each token and row, from `seed`.

    ids (B, T) integers  ->  ids (B, T + max_new_tokens) integers
    """
    _check(max_new_tokens, temperature, top_k, top_p, seed)
    ids = to_numpy((ids if isinstance(ids, Tensor) else Tensor(ids)).data)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"generate: ids must be integers, not {ids.dtype}")
    rows = np.atleast_2d(ids).astype(np.int64)
    if rows.size == 0:
        raise ValueError("generate: the prompt is empty; give at least one token")
    place = backend_of(next(model.parameters()).data)
    rng = np.random.default_rng(seed)
    with model.evaluating():
        for _ in range(max_new_tokens):
            logits = model(to(rows[:, -model.block_size :], place))
            last = to_numpy(logits.data)[:, -1].astype(np.float64)  # (B, V)
            draws = rng.random(len(rows))
            chosen = [next_token(row, u, temperature, top_k, top_p) for row, u in zip(last, draws)]
            rows = np.concatenate((rows, np.array(chosen)[:, None]), axis=1)
    return Tensor(rows.reshape(*ids.shape[:-1], -1))


def next_token(logits, u, temperature, top_k, top_p):
    """The id chosen from one row of logits (V,); u in [0, 1) decides where chance does."""
    if not np.isfinite(logits).all():
        raise ValueError("generate: the model's scores are not finite numbers; its training diverged")
    if temperature == 0:
        return int(logits.argmax())
    logits = sampling.temperature(logits, temperature)
    if top_k is not None:
        logits = sampling.top_k(logits, top_k)
    if top_p is not None:
        logits = sampling.top_p(logits, top_p)
    return sampling.sample(logits, u)


def _check(max_new_tokens, temperature, top_k, top_p, seed):
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, not {max_new_tokens}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
