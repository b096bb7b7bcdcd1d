"""Beam search: no chance at each token, but a search for the likeliest sequences."""

import numpy as np

from . import sampling
from .cache import NoCache
from .generate import check_prompt, end_ids, scores


def beam_search(model, ids, max_new_tokens, num_beams=4, *, length_penalty=1.0, repetition_penalty=1.0,
                eos_token_id=None, use_cache=True):  # fmt: skip
    """The num_beams best sequences that the search finds from one prompt, the best first: [(score, ids)].

    At each step every beam is continued by every token, and the num_beams likeliest of them all stay. One that has
    come to eos_token_id is put aside. score = Σ log p / N^length_penalty over the N new tokens, as Hugging Face's
    `generate` has it: a larger length_penalty favours long sequences, 0 compares plain probabilities.

    ids (T,) integers  ->  num_beams pairs of a number and ids (T + N,), N ≤ max_new_tokens
    """
    if num_beams < 1:
        raise ValueError(f"num_beams must be 1 or more, not {num_beams}")
    beams = check_prompt(model, ids, max_new_tokens)
    if len(beams) > 1:
        raise ValueError(f"beam_search takes one prompt, got {len(beams)}; search from one after the other")
    cache = model.new_cache(1, beams.shape[1] + max_new_tokens) if use_cache else NoCache(model)
    ends = end_ids(eos_token_id)
    count = num_beams * (1 + len(ends))  # so many continuations that num_beams of them do not end
    totals, finished, worth = np.zeros(1), [], 1.0  # Σ log p of each beam; those put aside; N^length_penalty
    for n in range(1, max_new_tokens + 1):
        log_p = sampling.log_softmax(scores(cache, beams))  # (num_beams, V), at first (1, V)
        if repetition_penalty != 1:
            log_p = [sampling.repetition_penalty(*row, repetition_penalty) for row in zip(log_p, beams)]
        likeliest, parents, tokens = largest(totals[:, None] + log_p, count)
        worth = n**length_penalty
        longer = np.concatenate((beams[parents], tokens[:, None]), axis=1)
        ended = np.isin(tokens, ends)
        finished += [(likeliest[i] / worth, longer[i]) for i in np.flatnonzero(ended[:num_beams])]
        finished = best(finished, num_beams)
        stay = np.flatnonzero(~ended)[:num_beams]
        beams, totals = longer[stay], likeliest[stay]
        if not stay.size or (len(finished) == num_beams and totals[0] / worth <= finished[-1][0]):
            return finished  # no beam would be better if it ended now
        cache.reorder(parents[stay])
    return best(finished + [(total / worth, ids) for total, ids in zip(totals, beams)], num_beams)


def largest(table, n):
    """The n largest entries from the largest on, their rows and their columns."""
    flat = table.reshape(-1)
    n = min(n, flat.size)
    places = np.argpartition(-flat, n - 1)[:n]
    places = places[np.argsort(-flat[places], kind="stable")]
    return flat[places], *np.divmod(places, table.shape[1])


def best(sequences, n):
    return sorted(sequences, key=lambda pair: -pair[0])[:n]
