"""The perplexity of a text longer than a model can look back: a window slides over it.

    tokens     t h e _ c a t _ s a t      block_size 4, stride 2: each window is two tokens further than the last
    window 1   t h e _                    scores h e _ c, what follows each of its tokens
    window 2       e _ c a                scores a t: c follows an e that window 1 has seen more of
    window 3           c a t _            scores _ s
    window 4               t _ s a        scores a t

Each token but the first is scored once. A smaller stride gives each more to look back on, at least block_size − stride
tokens, and costs more windows; stride = block_size cuts the text into pieces.
"""

import math
from dataclasses import dataclass

import numpy as np

from .likelihood import log_probs

SCORES = 1 << 25  # numbers in the logits of a batch, at most, if one window is not more already


@dataclass(frozen=True)
class TextScore:
    nats: float  # − Σ log p over the scored tokens
    tokens: int  # how many those are
    windows: int

    @property
    def loss(self):
        """Nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self):
        """e^loss: among how many equally likely tokens the model is as undecided."""
        return math.exp(self.loss)

    @property
    def bits_per_token(self):
        return self.loss / math.log(2)

    def bits_per_byte(self, n_bytes):
        """Bits for each byte of the text, which models with different tokenizers can be compared by."""
        return self.nats / math.log(2) / n_bytes


def sliding_windows(n, block_size, stride):
    """(begin, end, first) of each window over n tokens: it reads begin … end − 1, scores what follows first …"""
    begin = first = 0
    while first < n - 1:
        end = min(begin + block_size, n - 1)
        yield begin, end, first
        begin, first = begin + stride, end


def score_text(model, ids, stride=None, progress=lambda done, windows: None):
    """The TextScore of ids; stride: how far the window moves, by default block_size.

    ids (N,) integers
    """
    ids, T = np.asarray(ids), model.block_size
    stride = T if stride is None else stride
    if not 1 <= stride <= T:
        raise ValueError(f"stride must be from 1 to block_size={T}, not {stride}: beyond it tokens would be left out")
    if len(ids) < 2:
        raise ValueError(f"a text of {len(ids)} tokens has none to score: the first is what the second is told from")
    windows = list(sliding_windows(len(ids), T, stride))
    size, nats, done = max(1, SCORES // (T * model.config.vocab_size)), 0.0, 0
    while done < len(windows):
        batch = _of_one_length(windows[done : done + min(size, 32)])
        inputs = np.stack([ids[begin:end] for begin, end, _ in batch]).astype(np.int64)
        targets = np.stack([ids[begin + 1 : end + 1] for begin, end, _ in batch]).astype(np.int64)
        for row, (begin, _, first) in zip(targets, batch):
            row[: first - begin] = -100  # an earlier window has scored it
        nats -= log_probs(model, inputs, targets)[0].sum()
        done += len(batch)
        progress(done, len(windows))
    return TextScore(float(nats), len(ids) - 1, len(windows))


def _of_one_length(windows):
    """As many of the first windows as are as long as the first one: only the last one may be shorter."""
    length = windows[0][1] - windows[0][0]
    return [window for window in windows if window[1] - window[0] == length]
