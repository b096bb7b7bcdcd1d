"""The loop: score, choose, append."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..backend import to_numpy
from ..methods import Tensor
from ..tensor import as_array
from .cache import KVCache, NoCache
from .decode import NOT_FINITE
from .rules import Rules
from .sampling import log_softmax


@dataclass(frozen=True)
class Step:
    """One token for each row of the batch, and what it was chosen from."""

    ids: np.ndarray  # (B,) the chosen tokens
    scores: object  # the logits, where they are: on a GPU, where nobody needed them to choose

    @cached_property
    def logits(self):
        """The model's scores, before any rule: (B, V) float64."""
        return to_numpy(self.scores).astype(np.float64)

    def log_probs(self):
        """The log-probability that the model, before any rule, gave to each chosen token: (B,)."""
        return log_softmax(self.logits)[np.arange(len(self.ids)), self.ids]


def generate(model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, min_p=None,
             repetition_penalty=1.0, seed=0, num_samples=1, eos_token_id=None, use_cache=True,
             return_log_probs=False):  # fmt: skip
    """ids with up to max_new_tokens more: all of them, unless every row has come to its eos_token_id before.

    num_samples: rows for each prompt, drawn apart. return_log_probs: give also the log-probabilities that the model,
    before any rule, had for the new tokens.

    ids (B, T) integers  ->  ids (B · num_samples, T + N) integers, log_probs (B · num_samples, N) float64
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be 1 or more, not {num_samples}")
    rules = Rules(repetition_penalty, temperature, top_k, top_p, min_p)
    ids = as_array(ids)
    rows = as_rows(ids).repeat(num_samples, axis=0)
    cache = None if use_cache else NoCache(model)
    steps = stream(model, rows, max_new_tokens, rules, seed=seed, eos_token_id=eos_token_id, cache=cache)
    log_probs = []
    for step in steps:
        rows = np.concatenate((rows, step.ids[:, None]), axis=1)
        if return_log_probs:
            log_probs.append(step.log_probs())
    shape = (-1,) if ids.ndim < 2 and num_samples == 1 else (len(rows), -1)
    if return_log_probs:
        return Tensor(rows.reshape(shape)), Tensor(np.array(log_probs).T.reshape(shape))
    return Tensor(rows.reshape(shape))


def stream(model, ids, max_new_tokens, rules=Rules(), *, seed=0, eos_token_id=None, cache=None):
    """A Step for each new token, as soon as it is chosen. The model runs in evaluation mode, without a graph.

    It sees the last `block_size` tokens. One uniform number is drawn for each token and row, from `seed`. A row that
    has come to eos_token_id (one or several) goes on with nothing else, and the stream ends when all have. cache:
    what gives the scores, to be used again for ids that go on from these; by default model.new_cache(…).

    ids (B, T) integers
    """
    rows = check_prompt(model, ids, max_new_tokens)
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    cache = cache or model.new_cache(len(rows), rows.shape[1] + max_new_tokens)
    return _steps(cache, rows, max_new_tokens, rules, np.random.default_rng(seed), end_ids(eos_token_id))


def _steps(cache, rows, max_new_tokens, rules, rng, ends):
    ended = np.zeros(len(rows), bool)
    for _ in range(max_new_tokens):
        chosen, logits = choose(cache, rows, rules, rng.random(len(rows)))
        if ends:
            chosen[ended] = ends[0]
            ended |= np.isin(chosen, ends)
        yield Step(chosen, logits)
        if ended.all():
            return
        rows = np.concatenate((rows, chosen[:, None]), axis=1)


def choose(cache, rows, rules, draws):
    """The next token of each row, by its number in [0, 1); and the logits it was chosen from."""
    chosen, logits = answer(cache, rows, rules.greedy and isinstance(cache, KVCache))
    if chosen is None:
        chosen = np.array([rules.choose(*row) for row in zip(logits, rows, draws)])
    return chosen, logits


def end_ids(eos_token_id):
    """None, an id or several, as Hugging Face's configurations have them, as a list."""
    return [] if eos_token_id is None else np.atleast_1d(eos_token_id).tolist()


def scores(cache, rows):
    """What a cache gives for rows, in the precision that the rules compute in.

    ids (B, T) integers  ->  logits (B, V) float64
    """
    return answer(cache, rows)[1]


def answer(cache, rows, greedy=False):
    """(None, scores), or what a greedy cache has chosen by itself: ids (B,), and the scores as it has them."""
    with cache.model.evaluating():  # for one step: whoever takes the steps may train in between
        chosen, logits = cache.answer(rows, greedy=True) if greedy else (None, cache(rows))
    finite = np.isfinite(logits).all() if chosen is None else (chosen != NOT_FINITE).all()
    if not finite:
        raise ValueError("generate: the model's scores are not finite numbers; its training diverged")
    return (None, logits.astype(np.float64)) if chosen is None else (chosen, logits)


def check_prompt(model, ids, max_new_tokens):
    """The prompt as rows; a warning where it is longer than the model can look back."""
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, not {max_new_tokens}")
    rows = as_rows(ids)
    if rows.shape[1] > model.block_size:
        warnings.warn(f"the prompt has {rows.shape[1]:,} tokens; the model sees the last {model.block_size:,} of them "
                      "(its block_size)", stacklevel=3)  # fmt: skip
    return rows


def as_rows(ids):
    """A prompt, or several of one length, as an int64 array (B, T) of the host."""
    ids = as_array(ids)
    if ids.size == 0:
        raise ValueError("generate: the prompt is empty; give at least one token")
    if ids.dtype.kind not in "iu":
        raise TypeError(f"generate: ids must be integers, not {ids.dtype}")
    return np.atleast_2d(to_numpy(ids)).astype(np.int64)
