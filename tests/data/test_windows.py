import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm import Tensor
from tinyllm.data import DataLoader, PackedDataset, RandomBatches, WindowDataset, split

SIZES = st.integers(1, 20).flatmap(lambda T: st.tuples(st.just(T), st.integers(T + 1, 200)))  # block_size, tokens


def corpus(n, dtype=np.int64):
    return np.random.default_rng(n).integers(100, size=n).astype(dtype)


# split


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


# windows


@given(SIZES, st.none() | st.integers(1, 30))
def test_the_target_is_the_next_token(sizes, stride):
    T, n = sizes
    ids = corpus(n)
    expected = [(ids[i : i + T], ids[i + 1 : i + T + 1]) for i in range(0, n - T, stride or T)]
    windows = WindowDataset(ids, T, stride)
    assert len(windows) == len(expected)
    for index, (inputs, targets) in enumerate(expected):
        for place in (index, index - len(expected)):
            np.testing.assert_array_equal(windows[place][0], inputs, strict=True)
            np.testing.assert_array_equal(windows[place][1], targets, strict=True)


@given(SIZES)
def test_by_default_every_token_but_the_first_and_the_rest_is_a_target_once(sizes):
    T, n = sizes
    targets = np.concatenate([targets for _, targets in DataLoader(WindowDataset(np.arange(n), T), batch_size=None)])
    assert targets.reshape(-1).tolist() == list(range(1, (n - 1) // T * T + 1))


@pytest.mark.parametrize("index", [5, -6, 10**12])
def test_a_window_that_is_not_there(index):
    with pytest.raises(IndexError, match=f"window {index} of 5"):
        WindowDataset(corpus(21), 4)[index]
    assert len(list(WindowDataset(corpus(21), 4))) == 5, "so a `for` over them ends"


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_items_are_int64_arrays_of_their_own(dtype):
    ids = corpus(50, dtype)
    ids.flags.writeable = False
    windows = WindowDataset(ids, 4)
    inputs, targets = windows[3]
    assert inputs.dtype == targets.dtype == np.int64
    expected = targets.copy()
    inputs[:] = -1
    assert np.array_equal(targets, expected)
    targets[:] = -1
    assert np.array_equal(windows[3][1], expected)


def test_a_corpus_may_be_a_list_or_a_tensor():
    for ids in (corpus(50).tolist(), Tensor(corpus(50))):
        assert np.array_equal(WindowDataset(ids, 4)[2], WindowDataset(corpus(50), 4)[2])
        assert np.array_equal(split(ids)[1], corpus(50)[45:])


def test_of_a_memory_map_only_what_is_needed_is_read(tmp_path):
    """4 TB of ids, on a disk where all but the last five are a hole."""
    n = 2 * 10**12
    with open(tmp_path / "ids.bin", "wb") as file:
        file.seek(2 * (n - 5))
        file.write(np.array([5, 6, 7, 8, 9], np.uint16).tobytes())
    ids = np.memmap(tmp_path / "ids.bin", np.uint16, "r")
    windows = WindowDataset(split(ids)[1], 4, stride=1)
    assert len(windows) == n - int(0.9 * n) - 4
    assert [part.tolist() for part in windows[-1]] == [[5, 6, 7, 8], [6, 7, 8, 9]]
    [inputs, targets] = next(iter(DataLoader(windows, batch_sampler=RandomBatches(len(windows), 3, seed=0))))
    assert inputs.shape == targets.shape == (3, 4)


def test_a_text_too_short_is_named_with_both_numbers():
    assert len(WindowDataset(corpus(9), 8)) == 1
    with pytest.raises(ValueError, match="block_size=8 .* need 9 tokens, this text has 8"):
        WindowDataset(corpus(8), 8)


@pytest.mark.parametrize("sizes", [(0,), (4, 0), (-1,)])
def test_sizes_are_positive(sizes):
    with pytest.raises(ValueError, match="block_size and stride must be at least 1"):
        WindowDataset(corpus(8), *sizes)


@pytest.mark.parametrize("ids", [[[1, 2, 3, 4]], [1.0, 2.0, 3.0, 4.0], [True, False, True]])
def test_a_corpus_is_one_row_of_integers(ids):
    for cut in (split, lambda ids: WindowDataset(ids, 2), lambda ids: PackedDataset(ids, [0], 2)):
        with pytest.raises(ValueError, match="one row of integer ids"):
            cut(ids)


# packed documents


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 9), st.none() | st.integers(1, 5))
def test_packed_the_first_token_of_a_document_is_no_target(lengths, T, stride):
    lengths[0] += T + 1
    ids = np.arange(sum(lengths)) + 7
    starts = np.cumsum([0, *lengths[:-1]])
    packed, windows = PackedDataset(ids, starts, T, stride), WindowDataset(ids, T, stride)
    assert len(packed) == len(windows)
    for (inputs, targets), (same, following) in zip(packed, windows):
        assert np.array_equal(inputs, same)
        assert targets.tolist() == [-100 if target - 7 in starts else target for target in following.tolist()]


def test_packed_documents_by_hand():
    ids, starts = np.array([1, 2, 0, 3, 4, 5, 0, 6, 0], np.uint16), np.array([0, 3, 7], np.uint64)
    found = [[part.tolist() for part in item] for item in PackedDataset(ids, starts, 4)]
    assert found == [[[1, 2, 0, 3], [2, 0, -100, 4]], [[4, 5, 0, 6], [5, 0, -100, 0]]]


@pytest.mark.parametrize("starts", [[], [1, 3], [0, 5, 3], [0, 21], [-1, 3]])
def test_starts_that_are_none(starts):
    with pytest.raises(ValueError, match="starts must begin with 0 and rise to at most 20|one row of offsets"):
        PackedDataset(corpus(20), starts, 4)


# the batches of a training


@given(SIZES, st.integers(1, 8), st.integers(0, 2**40))
def test_every_row_of_a_random_batch_is_a_window(sizes, B, seed):
    T, n = sizes
    windows = WindowDataset(np.arange(n) * 7, T, stride=1)  # an id says where it stands
    loader = DataLoader(windows, batch_sampler=RandomBatches(len(windows), B, seed))
    for _, (inputs, targets) in zip(range(3), loader):
        inputs, targets = inputs.numpy(), targets.numpy()
        assert inputs.shape == targets.shape == (B, T)
        assert np.array_equal(inputs, inputs[:, :1] + 7 * np.arange(T))
        assert np.array_equal(targets, inputs + 7)
        assert targets.max() <= 7 * (n - 1)


def first(sampler, n):
    return [batch for _, batch in zip(range(n), sampler)]


def test_random_batches_depend_on_seed_and_number_alone():
    batches = first(RandomBatches(1000, 4, seed=1), 5)
    assert first(RandomBatches(1000, 4, seed=1).starting_at(3), 2) == batches[3:]
    others = first(RandomBatches(1000, 4, seed=2), 5)
    assert len({tuple(batch) for batch in batches + others}) == 10


def test_the_batches_of_a_seed_never_change():
    """A run resumed with a later tinyllm goes on with the batches it would have had."""
    [batch] = first(RandomBatches(998, 3, seed=1337).starting_at(5), 1)
    assert batch == np.random.default_rng([1337, 5]).integers(998, size=3).tolist()


def test_a_random_batch_reaches_the_first_and_the_last_number():
    [batch] = first(RandomBatches(3, 500, seed=0), 1)
    assert np.bincount(batch).min() > 100  # each about 167 times


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0)])
def test_an_empty_random_batch_is_refused(sizes):
    with pytest.raises(ValueError, match="n and batch_size must be at least 1"):
        RandomBatches(*sizes, seed=0)
