import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm import Tensor
from tinyllm.data import random_batch, split, windows

SIZES = st.integers(1, 20).flatmap(lambda T: st.tuples(st.just(T), st.integers(T + 1, 200)))  # block_size, tokens


def corpus(n, dtype=np.int64):
    return np.random.default_rng(n).integers(100, size=n).astype(dtype)


@given(st.integers(10, 1000))
def test_split_is_nanogpts(n):
    ids = corpus(n)
    train, val = split(ids)
    assert len(train) == int(0.9 * n)
    assert np.array_equal(np.concatenate([train, val]), ids)


def test_split_of_shakespeare():
    assert [len(piece) for piece in split(np.zeros(1_115_394, int))] == [1_003_854, 111_540]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(50, 500))
def test_split_loses_nothing(weights, n):
    fractions = [weight / sum(weights) for weight in weights]
    pieces = split(corpus(n), fractions)
    assert np.array_equal(np.concatenate(pieces), corpus(n))
    assert [len(piece) for piece in pieces[:-1]] == [int(fraction * n) for fraction in fractions[:-1]]


def test_split_in_three():
    assert [piece.tolist() for piece in split(list(range(10)), (0.7, 0.2, 0.1))] == [[0, 1, 2, 3, 4, 5, 6], [7, 8], [9]]


@pytest.mark.parametrize("fractions", [(0.9, 0.2), (0.9,), (1.5, -0.5), (float("nan"), 0.1), (), (0.9, 0.1 + 1e-6)])
def test_split_refuses_fractions_that_are_none(fractions):
    with pytest.raises(ValueError, match="sum to 1, got "):
        split(corpus(100), fractions)


@pytest.mark.parametrize(
    "n, fractions, sizes",
    [(1, (0.9, 0.1), "0, 1"), (100, (1.0, 0.0), "100, 0"), (5, (0.8, 0.1, 0.1), "4, 0, 1")],
)
def test_split_refuses_empty_pieces(n, fractions, sizes):
    with pytest.raises(ValueError, match=f"{n} tokens .* give {sizes} tokens"):
        split(corpus(n), fractions)


@given(SIZES)
def test_windows_are_side_by_side_and_the_target_is_the_next_token(sizes):
    T, n = sizes
    ids = corpus(n)
    inputs, targets = windows(ids, T)
    expected = [(ids[i : i + T], ids[i + 1 : i + T + 1]) for i in range(0, n - T, T)]
    assert inputs.shape == targets.shape == (len(expected), T)
    assert np.array_equal(inputs, [x for x, _ in expected])
    assert np.array_equal(targets, [y for _, y in expected])


@given(SIZES, st.integers(1, 8), st.integers(0, 2**40), st.integers(0, 10**6))
def test_every_row_of_a_random_batch_is_a_window(sizes, B, seed, step):
    T, n = sizes
    ids = np.arange(n) * 7  # an id says where it stands
    inputs, targets = random_batch(ids, T, B, seed=seed, step=step)
    assert inputs.shape == targets.shape == (B, T)
    starts = inputs[:, :1] // 7
    assert np.array_equal(inputs, (starts + np.arange(T)) * 7)
    assert np.array_equal(targets, inputs + 7)
    assert targets.max() <= ids[-1]


def test_a_batch_depends_on_seed_and_step_alone():
    ids = corpus(1000)
    batches = [random_batch(ids, 8, 4, seed=1, step=step) for step in range(5)]
    np.random.default_rng(3).random()
    again = random_batch(ids, 8, 4, seed=1, step=3)
    assert np.array_equal(again, batches[3])
    distinct = {x.tobytes() for x, _ in batches} | {random_batch(ids, 8, 4, seed=2, step=3)[0].tobytes()}
    assert len(distinct) == 6


def test_the_batches_of_a_seed_never_change():
    """A run resumed with a later tinyllm goes on with the batches it would have had."""
    inputs, _ = random_batch(np.arange(1000), 2, 3, seed=1337, step=5)
    starts = np.random.default_rng([1337, 5]).integers(998, size=3)
    assert inputs.tolist() == [[start, start + 1] for start in starts]


def test_a_random_batch_can_start_at_the_first_and_at_the_last_place():
    inputs, targets = random_batch(np.arange(6), 3, 500, seed=0, step=0)
    assert np.bincount(inputs[:, 0]).min() > 100  # three places, each about 167 times
    assert set(targets[:, -1]) == {3, 4, 5}


@pytest.mark.parametrize("cut", [lambda ids: windows(ids, 4), lambda ids: random_batch(ids, 4, 8, seed=0, step=0)])
def test_batches_are_their_own_int64_arrays(cut):
    ids = corpus(50, np.uint16)
    before = ids.copy()
    inputs, targets = cut(ids)
    assert inputs.dtype == targets.dtype == np.int64
    expected = targets.copy()
    inputs[:] = -1
    assert np.array_equal(targets, expected)
    targets[:] = -1
    assert np.array_equal(ids, before)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_the_corpus_may_be_read_only(dtype):
    ids = corpus(50, dtype)
    ids.flags.writeable = False
    inputs, targets = windows(ids, 4)
    inputs[:], targets[:] = -1, -1
    assert ids.min() >= 0


def test_a_corpus_may_be_a_list_or_a_tensor():
    expected = random_batch(corpus(50), 4, 2, seed=0, step=0)
    for ids in (corpus(50).tolist(), Tensor(corpus(50))):
        assert np.array_equal(random_batch(ids, 4, 2, seed=0, step=0), expected)
        assert np.array_equal(windows(ids, 4), windows(corpus(50), 4))
        assert np.array_equal(split(ids)[1], corpus(50)[45:])


@pytest.mark.parametrize("cut", [windows, lambda ids, T: random_batch(ids, T, 2, seed=0, step=0)])
def test_a_text_too_short_is_named_with_both_numbers(cut):
    cut(corpus(9), 8)
    with pytest.raises(ValueError, match="block_size=8 .* need 9 tokens, this text has 8"):
        cut(corpus(8), 8)
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        cut(corpus(8), 0)


@pytest.mark.parametrize("ids", [[[1, 2, 3, 4]], [1.0, 2.0, 3.0, 4.0], [True, False, True]])
def test_a_corpus_is_one_row_of_integers(ids):
    for cut in (split, lambda ids: windows(ids, 2), lambda ids: random_batch(ids, 2, 2, seed=0, step=0)):
        with pytest.raises(ValueError, match="one row of integer ids"):
            cut(ids)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        random_batch(corpus(50), 4, 0, seed=0, step=0)
