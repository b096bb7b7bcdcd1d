import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinyllm import Tensor, manual_seed
from tinyllm.data import DataLoader, Dataset, TensorDataset


class Items(Dataset):
    """Item i is what `make` makes of i."""

    def __init__(self, n, make=lambda i: i * i):
        self.n, self.make = n, make

    def __getitem__(self, index):
        return self.make(index)

    def __len__(self):
        return self.n


def assert_same(ours, theirs):
    """The same nesting of lists, shapes, dtypes and numbers as torch's."""
    if isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for part, other in zip(ours, theirs):
            assert_same(part, other)
    else:
        assert isinstance(ours, Tensor)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), strict=True)


ITEMS = {
    "int": lambda i: i * i,
    "float": lambda i: i / 3,
    "bool": lambda i: i % 2 == 0,
    "float32 number": lambda i: np.float32(i / 3),
    "int16 number": lambda i: np.int16(i),
    "float32 array": lambda i: np.full((2, 3), i / 3, np.float32),
    "float64 array": lambda i: np.full(2, i / 3),
    "uint8 array": lambda i: np.full(2, i, np.uint8),
    "tuple": lambda i: (np.full(2, i, np.float32), i),
    "tuple of one": lambda i: (i,),
    "list": lambda i: [i, i / 3, i > 2],
    "nested": lambda i: ((i, i / 3), np.full(2, i)),
}


@pytest.mark.parametrize("make", ITEMS.values(), ids=ITEMS)
@given(n=st.integers(0, 12), batch_size=st.integers(1, 6))
def test_batches_are_torchs(make, n, batch_size):
    ours = DataLoader(Items(n, make), batch_size=batch_size)
    theirs = torch.utils.data.DataLoader(Items(n, make), batch_size=batch_size)
    assert len(ours) == len(theirs) == len(list(ours))
    assert_same(list(ours), list(theirs))


@given(n=st.integers(1, 12), batch_size=st.integers(1, 6))
def test_a_tensor_dataset_is_torchs(n, batch_size):
    x, y = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32), np.arange(n)
    ours = TensorDataset(Tensor(x), Tensor(y))
    theirs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    assert len(ours) == len(theirs)
    assert_same(list(ours[n - 1]), list(theirs[n - 1]))
    assert_same(list(DataLoader(ours, batch_size)), list(torch.utils.data.DataLoader(theirs, batch_size)))


def test_the_default_batch_is_one_item():
    assert_same(list(DataLoader(Items(3))), list(torch.utils.data.DataLoader(Items(3))))


def test_a_list_is_a_dataset_too():
    assert [batch.tolist() for batch in DataLoader([5, 6, 7], 2)] == [[5, 6], [7]]


def test_the_last_batch_is_short():
    assert [len(batch) for batch in DataLoader(Items(10), batch_size=4)] == [4, 4, 2]


def test_a_batch_is_a_copy_of_the_data():
    x = Tensor(np.zeros((2, 3), np.float32))
    [[batch]] = DataLoader(TensorDataset(x), batch_size=2)
    batch.data[:] = 1
    assert not x.data.any()


def test_gradients_reach_a_tensor_through_a_batch():
    x = Tensor(np.ones((3, 2), np.float32), requires_grad=True)
    [[batch]] = DataLoader(TensorDataset(x), batch_size=3)
    batch.backward(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert x.grad.tolist() == [[0, 1], [2, 3], [4, 5]]


@given(n=st.integers(0, 30), batch_size=st.integers(1, 7), seed=st.integers(0, 1000))
def test_shuffled_every_item_comes_once(n, batch_size, seed):
    manual_seed(seed)
    batches = [batch.tolist() for batch in DataLoader(Items(n), batch_size, shuffle=True)]
    assert sorted(sum(batches, [])) == [i * i for i in range(n)]
    assert [len(batch) for batch in batches] == [len(batch) for batch in DataLoader(Items(n), batch_size)]


def test_shuffling_is_seeded_and_new_in_every_epoch():
    def epochs(seed):
        manual_seed(seed)
        loader = DataLoader(Items(50), batch_size=50, shuffle=True)
        return [batch.tolist() for _ in range(2) for batch in loader]

    first, second = epochs(3)
    assert first != second and first != sorted(first)
    assert epochs(3) == [first, second]
    assert epochs(4) != [first, second]


def test_the_parts_of_an_item_stay_together_when_shuffled():
    manual_seed(0)
    x = np.arange(20.0).reshape(10, 2)
    for batch, label in DataLoader(TensorDataset(x, np.arange(10)), batch_size=3, shuffle=True):
        assert np.array_equal(batch.numpy(), x[label.numpy()])


def test_in_order_draws_nothing():
    def draw():
        return next(iter(DataLoader(Items(50), batch_size=50, shuffle=True))).tolist()

    manual_seed(0)
    expected = draw()
    manual_seed(0)
    list(DataLoader(Items(50), batch_size=7))
    assert draw() == expected


def test_a_dataset_says_what_a_subclass_must_define():
    class Empty(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __getitem__"):
        Empty()[0]
    with pytest.raises(NotImplementedError, match="Empty must define __len__"):
        len(Empty())


def test_tensors_of_different_lengths():
    with pytest.raises(ValueError, match=re.escape("one length, got (4, 2), (3,)")):
        TensorDataset(np.zeros((4, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="one length, got none"):
        TensorDataset()


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, None, "4"])
def test_a_batch_size_is_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match=f"positive integer, got {batch_size!r}"):
        DataLoader(Items(3), batch_size)


@pytest.mark.parametrize("item", ["text", b"bytes", {"x": 1}, None, 1j, {1}, 2**70])
def test_what_cannot_be_stacked_is_named(item):
    for items in ([item], [1, item]):
        with pytest.raises(TypeError, match=f"not a {type(item).__name__} such as {re.escape(repr(item))}"):
            list(DataLoader(items, 2))


@pytest.mark.parametrize("kind", [np.zeros, lambda n: Tensor(np.zeros(n))], ids=["arrays", "tensors"])
def test_shapes_that_differ_are_named(kind):
    with pytest.raises(ValueError, match=re.escape("shapes (2,), (3,) cannot be stacked")):
        list(DataLoader([kind(2), kind(3)], 2))


@pytest.mark.parametrize("other", [(1,), (1, 2, 3), 5])
def test_items_of_different_numbers_of_parts(other):
    with pytest.raises(ValueError, match="the first item of the batch has 2 parts, another one has not"):
        list(DataLoader([(1, 2), other], 2))
