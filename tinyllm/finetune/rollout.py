"""Answers that a model gives, to learn from."""

import numpy as np

from ..generation import Rules, stream
from .examples import IGNORED, Example


def rollout(model, tokenizer, prompts, max_new_tokens, stop=None, seed=0):
    """An answer to each prompt, drawn from the model as it is, with no rule; it ends with `stop`, or is cut.

    prompts, B times (T,) ids  ->  answers, B times (N,) ids, 1 ≤ N ≤ max_new_tokens
    """
    answers = [None] * len(prompts)
    for length in sorted(set(map(len, prompts))):  # those of one length are drawn together, with one KV cache
        rows = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        draw = int(np.random.SeedSequence([seed, length]).generate_state(1)[0])
        drawn = _draw(model, tokenizer, np.stack([prompts[i] for i in rows]), max_new_tokens, stop, draw)
        for i, answer in zip(rows, drawn):
            answers[i] = answer
    return answers


def _draw(model, tokenizer, prompts, max_new_tokens, stop, seed):
    """Rows go on until all of them have come to `stop`; what a row says after it is cut."""
    drawn, ends = np.empty((len(prompts), 0), np.int64), np.full(len(prompts), max_new_tokens)
    for step in stream(model, prompts, max_new_tokens, Rules(), seed=seed):
        drawn = np.append(drawn, step.ids[:, None], axis=1)
        n = drawn.shape[1]
        if stop is not None:
            for i in np.flatnonzero(ends == max_new_tokens):
                if stop in tokenizer.decode(drawn[i]):
                    ends[i] = n
            if (ends <= n).all():
                break
    return [row[:end] for row, end in zip(drawn, ends)]


def as_example(prompt, answer):
    """Prompt and answer as a row of a batch, of which the answer's tokens are the targets."""
    ids = np.concatenate((prompt, answer))
    targets = ids[1:].copy()
    targets[: len(prompt) - 1] = IGNORED
    return Example(ids[:-1], targets)
