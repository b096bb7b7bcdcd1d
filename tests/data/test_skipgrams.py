"""The pairs of word2vec, against what Mikolov et al. 2013 say of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.data import DataLoader
from tinyllm.data.skipgrams import SkipGrams, vocabulary, words
from tinyllm.random import draw_from


@pytest.mark.parametrize("text, expected", [
    ("The king's men; don't.", ["the", "king's", "men", "don't"]),
    ("'quoted' end-to-end snake_case", ["quoted", "end", "to", "end", "snake", "case"]),
    ("don’t ’tis rock’n’roll", ["don’t", "tis", "rock’n’roll"]),
    ("1616 Café ÉCOLE straße", ["1616", "café", "école", "straße"]),
    ("床前明月光,good月", ["床", "前", "明", "月", "光", "good", "月"]),
    ("Москва 🙂 नमस", ["москва", "नमस"]), ("", []), ("!?", []),
], ids=repr)  # fmt: skip
def test_words(text, expected):
    assert words(text) == expected


def test_the_vocabulary_begins_with_the_most_frequent():
    vocab, counts = vocabulary("c b b a a a d d d d".split(), min_count=2)
    assert (vocab, counts.tolist()) == (["d", "a", "b"], [4, 3, 2])


@pytest.mark.parametrize("text", ["", "a a a", "a b c"])
def test_a_text_of_too_few_words(text):
    with pytest.raises(ValueError, match="occur 2 times or more, and there must be two at least"):
        vocabulary(text.split(), min_count=2)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_a_pair_is_a_word_and_one_within_its_window(n, window, K, seed):
    pairs = SkipGrams(np.arange(n), np.ones(n), window, K, subsample=1)  # a word says where it stands
    with draw_from(seed):
        centres, contexts, negatives = pairs.__getitems__(range(n))
    distance = np.abs(centres - contexts)
    assert len(centres) == 0 or 1 <= distance.min() and distance.max() <= window
    assert negatives.shape == (len(centres), K) and np.all((0 <= negatives) & (negatives < n))
    for centre in range(n):  # the window has one reach, to both sides, so far as there is text
        found = sorted(contexts[centres == centre].tolist())
        reach = max((abs(centre - place) for place in found), default=0)
        assert found == [p for p in range(max(0, centre - reach), min(n, centre + reach + 1)) if p != centre]
        assert n == 1 or reach >= 1


def drawn(pairs, times):
    with draw_from(0):
        return pairs.__getitems__(np.tile(np.arange(len(pairs)), times))


def test_near_words_count_more():
    """A neighbour at distance d is within the reach with the probability (window − d + 1) / window."""
    centres, contexts, _ = drawn(SkipGrams(np.arange(100), np.ones(100), window=4, subsample=1), 200)
    inner = (centres >= 4) & (centres < 96)
    found = np.bincount(np.abs(centres - contexts)[inner], minlength=5)[1:] / (2 * 92 * 200)
    np.testing.assert_allclose(found, [1, 0.75, 0.5, 0.25], atol=0.01)


def test_negatives_are_drawn_in_proportion_to_the_count_to_the_three_quarters():
    counts = np.array([1, 16, 81, 256])
    _, _, negatives = drawn(SkipGrams(np.zeros(50, int), counts, subsample=1e9), 100)
    found = np.bincount(negatives.reshape(-1), minlength=4) / negatives.size
    np.testing.assert_allclose(found, np.array([1, 8, 27, 64]) / 100, atol=0.01)


def test_frequent_words_are_left_out():
    """Of two that alternate, the one with 90 % of the counts is kept √(t / 0.9) of the times, the other one always."""
    pairs = SkipGrams(np.arange(1000) % 2, [900, 100], window=1, subsample=0.1)
    centres, contexts, _ = drawn(pairs, 20)
    share = len(centres) / (1998 * 20)  # each pair needs both of its words
    assert share == pytest.approx(np.sqrt(0.1 / 0.9), abs=0.01)
    np.testing.assert_array_equal(centres, 1 - contexts)


def test_every_epoch_draws_anew_and_any_number_of_workers_draws_the_same():
    def epochs(num_workers):
        pairs = SkipGrams(np.arange(60), np.ones(60))
        loader = DataLoader(pairs, 16, shuffle=True, num_workers=num_workers, collate_fn=tuple)
        return [[part.tolist() for part in batch] for _ in range(2) for batch in loader]

    found = epochs(0)
    assert found == epochs(2) and found[:4] != found[4:]


def test_an_item_alone():
    centres, contexts, negatives = SkipGrams(np.arange(9), np.ones(9), window=1, subsample=1)[4]
    assert (centres.tolist(), contexts.tolist(), negatives.shape) == ([4, 4], [3, 5], (2, 5))
