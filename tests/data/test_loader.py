import inspect
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyllm import Tensor
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
    """The same nesting of lists and dictionaries, shapes, dtypes and numbers as torch's."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict)
        assert_same([*ours, *ours.values()], [*theirs, *theirs.values()])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs)
        for part, other in zip(ours, theirs):
            assert_same(part, other)
    elif not isinstance(theirs, torch.Tensor):
        assert type(ours) is type(theirs) and ours == theirs
    else:
        assert isinstance(ours, Tensor)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), strict=True)


class Pair(NamedTuple):
    x: np.ndarray
    y: float


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
    "text": lambda i: "x" * i,
    "bytes": lambda i: b"x" * i,
    "dictionary": lambda i: {"ids": np.full(2, i), "label": i % 2, "text": str(i)},
    "named tuple": lambda i: Pair(np.full(2, i), i / 3),
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
    batches = [batch.tolist() for batch in DataLoader(Items(n), batch_size, shuffle=True, seed=seed)]
    assert sorted(sum(batches, [])) == [i * i for i in range(n)]
    assert [len(batch) for batch in batches] == [len(batch) for batch in DataLoader(Items(n), batch_size)]


def test_shuffling_is_seeded_and_new_in_every_epoch():
    def epochs(seed):
        loader = DataLoader(Items(50), batch_size=50, shuffle=True, seed=seed)
        return [batch.tolist() for _ in range(2) for batch in loader]

    first, second = epochs(3)
    assert first != second and first != sorted(first)
    assert epochs(3) == [first, second]
    assert epochs(4) != [first, second]


def test_the_order_of_a_seed_never_changes():
    """A run resumed with a later tinyllm goes on with the items it would have had."""
    loader = DataLoader(range(20), batch_size=None, shuffle=True, seed=3)
    for epoch in range(3):
        assert list(loader) == np.random.default_rng([3, epoch]).permutation(20).tolist()


def test_the_parts_of_an_item_stay_together_when_shuffled():
    x = np.arange(20.0).reshape(10, 2)
    for batch, label in DataLoader(TensorDataset(x, np.arange(10)), batch_size=3, shuffle=True):
        assert np.array_equal(batch.numpy(), x[label.numpy()])


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


@pytest.mark.parametrize("item", [None, 1j, {1}, 2**70, object])
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


@pytest.mark.parametrize("other", [{"y": 1}, {}, 5, [3]])
def test_items_of_different_keys(other):
    with pytest.raises(ValueError, match="the first item of the batch has the key 'x', another one has not"):
        list(DataLoader([{"x": 1}, other], 2))


# every argument means what it means in torch


def torchs(dataset, **options):
    return torch.utils.data.DataLoader(dataset, **options)


@st.composite
def options(draw):
    """n items, and arguments that torch's loader takes too."""
    n = draw(st.integers(0, 40))
    numbers = st.integers(0, n - 1) if n else st.nothing()
    if n and draw(st.booleans()):
        return n, {"batch_sampler": draw(st.lists(st.lists(numbers, min_size=1, max_size=5), max_size=6))}
    found = {"batch_size": draw(st.integers(1, 12)), "drop_last": draw(st.booleans())}
    if draw(st.booleans()):
        found = {"batch_size": None}
    if n and draw(st.booleans()):
        found["sampler"] = draw(st.lists(numbers, max_size=30))
    if draw(st.booleans()):
        found["collate_fn"] = repr
    return n, found


@settings(max_examples=200)
@given(options(), st.sampled_from(list(ITEMS)), st.integers(0, 3))
@example((39, {"batch_size": 10}), "float", 2)
@example((39, {"batch_size": 10, "drop_last": True}), "float", 2)
def test_lengths_and_contents_are_torchs(options, kind, num_workers):
    n, options = options
    items = Items(n, ITEMS[kind])
    ours, theirs = DataLoader(items, num_workers=num_workers, **options), torchs(items, **options)
    assert len(ours) == len(theirs)
    for _ in range(2):
        assert_same(list(ours), list(theirs))


def test_39_items_in_batches_of_10_are_4_batches():
    loader = DataLoader(Items(39), batch_size=10)
    assert len(loader) == 4 and [len(batch) for batch in loader] == [10, 10, 10, 9]
    loader = DataLoader(Items(39), batch_size=10, drop_last=True)
    assert len(loader) == 3 and [len(batch) for batch in loader] == [10, 10, 10]


def test_the_order_of_the_arguments_is_torchs():
    ours, theirs = (list(inspect.signature(loader).parameters) for loader in (DataLoader, torch.utils.data.DataLoader))
    assert ours == [name for name in theirs if name in ours] + ["seed"]


def test_several_items_are_asked_for_at_once_where_the_dataset_can():
    class Together(Items):
        def __getitems__(self, indices):
            return [1000 + i for i in indices]

    assert_same(list(DataLoader(Together(7), 3)), list(torchs(Together(7), batch_size=3)))


@pytest.mark.parametrize(
    "arguments",
    [{"batch_size": 0}, {"batch_size": -1}, {"batch_size": 2.0}, {"batch_size": "4"}, {"batch_size": True},
     {"num_workers": -1}, {"sampler": [0], "shuffle": True}, {"batch_size": None, "drop_last": True},
     *({"batch_sampler": [[0]], **more}
       for more in ({"batch_size": 2}, {"shuffle": True}, {"sampler": [0]}, {"drop_last": True}))],
    ids=str)  # fmt: skip
def test_what_torch_refuses_is_refused(arguments):
    with pytest.raises(ValueError, match="^DataLoader: "):
        DataLoader(Items(3), **arguments)
    if arguments != {"batch_size": True}:  # torch takes it for 1
        with pytest.raises((ValueError, TypeError)):
            torchs(Items(3), **arguments)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1"])
def test_a_seed_is_an_integer_from_0_on(seed):
    with pytest.raises(ValueError, match=f"seed must be an integer from 0 on, got {seed!r}"):
        DataLoader(Items(3), seed=seed)


def test_a_sampler_is_told_the_epoch():
    class Sampler(list):
        def set_epoch(self, epoch):
            self[:] = [epoch, 2]

    for name in ("sampler", "batch_sampler"):
        sampler = Sampler()
        loader = DataLoader(range(9), collate_fn=list, **{name: sampler if name == "sampler" else Batched(sampler)})
        assert [sum(loader, []) for _ in range(3)] == [[0, 2], [1, 2], [2, 2]]


class Batched:
    """One batch: all that a sampler has."""

    def __init__(self, sampler):
        self.set_epoch, self.sampler = sampler.set_epoch, sampler

    def __iter__(self):
        return iter([list(self.sampler)])
