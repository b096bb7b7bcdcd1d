"""From a text to the examples of word2vec: a word, a word near it, and words drawn by chance."""

import re
from collections import Counter

import numpy as np

from ..random import generator
from .dataset import Dataset

HAN = "\u3400-\u9fff\U00020000-\U000323af"  # written without spaces: each sign is a word here
WORD = re.compile(rf"[{HAN}]|(?:(?![{HAN}])[^\W_])+(?:['’](?:(?![{HAN}])[^\W_])+)*")


def words(text):
    """The words of a text, in lower case.

    >>> words("The king's men; don't. 明月 1616")
    ['the', "king's", 'men', "don't", '明', '月', '1616']
    """
    return [match.lower() for match in WORD.findall(text)]


def vocabulary(found, min_count=1):
    """(words, counts): the distinct words that occur min_count times or more, the most frequent first."""
    kept = [(word, count) for word, count in Counter(found).most_common() if count >= min_count]
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} of the {len(found):,} words of the text occur {min_count} times or more, and "
                         "there must be two at least; give a longer text, or a smaller --min-count")
    return [word for word, _ in kept], np.array([count for _, count in kept])


class SkipGrams(Dataset):
    """Item i is the word at place i with each of those around it: centres (P,), contexts (P,), negatives (P, K).

    As Mikolov et al. 2013 (arXiv:1310.4546, section 2) have it:
    - the window reaches 1 … window words to both sides, drawn anew each time: near words count more;
    - a word w is left out with probability 1 − √(subsample / f(w)), f its share of the text: "the" says little;
    - of the K negatives, w is drawn with a probability in proportion to f(w)^¾.

    All is drawn from `generator()`, so a DataLoader gives every batch its own draws, the same for any workers.

    ids (N,): the words of the text; counts (V,): how often each occurs
    """

    def __init__(self, ids, counts, window=5, negatives=5, subsample=1e-3):
        self.ids, self.window, self.negatives = np.asarray(ids), window, negatives
        counts = np.asarray(counts, float)
        self.keep = np.minimum(1, np.sqrt(subsample * counts.sum() / counts))  # (V,)
        noise = np.cumsum(counts**0.75)
        self.noise = noise / noise[-1]  # (V,): where the share of each word ends, between 0 and 1

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, places):
        places = np.asarray(places)[:, None]  # (B, 1)
        offsets = np.array([d for d in range(-self.window, self.window + 1) if d])  # (2W,)
        around = places + offsets  # (B, 2W)
        reach = generator().integers(1, self.window + 1, size=places.shape)  # (B, 1)
        taken = (np.abs(offsets) <= reach) & (around >= 0) & (around < len(self))
        around = around.clip(0, len(self) - 1)
        taken &= self._kept(places) & self._kept(around)
        row, column = taken.nonzero()  # (P,) each
        drawn = generator().random((len(row), self.negatives))
        negatives = np.searchsorted(self.noise, drawn)  # (P, K)
        return self.ids[places[row, 0]], self.ids[around[row, column]], negatives

    def _kept(self, places):
        return generator().random(places.shape) < self.keep[self.ids[places]]
