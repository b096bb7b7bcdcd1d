"""The state of a loader and its workers: which item comes is never a question of when, or of who made it."""

import json
import signal
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyllm import Tensor, manual_seed
from tinyllm.data import DataLoader, Dataset, RandomBatches, TensorDataset
from tinyllm.random import generator

LOADERS = st.fixed_dictionaries({
    "batch_size": st.integers(1, 7), "shuffle": st.booleans(), "drop_last": st.booleans(), "seed": st.integers(0, 5),
    "num_workers": st.integers(0, 3),
})  # fmt: skip


class Noisy(Dataset):
    """Items that take longer the lower their number, and draw from the generator of their batch."""

    def __init__(self, n, pause=0.0):
        self.n, self.pause = n, pause

    def __getitem__(self, index):
        time.sleep(self.pause * (index % 5 == 0))
        return index, generator().random()

    def __len__(self):
        return self.n


def plain(batch):
    return [part.tolist() for part in batch]


# where it is


@settings(max_examples=150)
@given(LOADERS, st.integers(0, 25), st.integers(0, 20), st.integers(0, 3))
def test_a_loader_that_was_stopped_goes_on_with_the_next_item(options, n, stop, other_workers):
    def stream(loader, epochs):
        return [plain(batch) for _ in range(epochs) for batch in loader]

    whole = stream(DataLoader(Noisy(n), **options), 3)
    stop, before = min(stop, len(whole)), []
    loader, states = DataLoader(Noisy(n), **options), []
    states.append(loader.state_dict())
    for _ in range(3):
        for batch in loader:
            before.append(plain(batch))
            states.append(loader.state_dict())
    assert before == whole
    fresh = DataLoader(Noisy(n), **options | {"num_workers": other_workers})
    fresh.load_state_dict(json.loads(json.dumps(states[stop])))
    assert fresh.state_dict() == states[stop]
    assert stream(fresh, 3 - states[stop]["epoch"]) == whole[stop:]


def test_a_state_of_the_end_of_an_epoch_begins_the_next():
    loader = DataLoader(range(10), 5, shuffle=True)
    list(loader)
    state, second = loader.state_dict(), [batch.tolist() for batch in loader]
    assert (state["epoch"], state["batch"]) == (1, 0)
    loader.load_state_dict(state)
    assert [batch.tolist() for batch in loader] == second


def test_a_new_for_after_a_break_is_a_new_epoch():
    loader = DataLoader(range(10), 2, shuffle=True)
    next(iter(loader))
    assert loader.state_dict()["epoch"] == 0 and loader.state_dict()["batch"] == 1
    assert len(list(loader)) == 5
    assert loader.state_dict()["epoch"] == 2


def test_endless_batches_go_on_at_once_where_they_were():
    """A million draws would be seconds."""
    def loader():
        return DataLoader(range(100), batch_sampler=RandomBatches(100, 3, seed=5))

    stopped = loader()
    stopped.load_state_dict(stopped.state_dict() | {"batch": 10**15})
    [batch] = [batch.tolist() for _, batch in zip(range(1), stopped)]
    assert batch == np.random.default_rng([5, 10**15]).integers(100, size=3).tolist()
    whole = [batch.tolist() for _, batch in zip(range(6), loader())]
    going_on = loader()
    going_on.load_state_dict(loader().state_dict() | {"batch": 4})
    assert [batch.tolist() for _, batch in zip(range(2), going_on)] == whole[4:]


@pytest.mark.parametrize("change", [{"batch_size": 3}, {"seed": 1}, {"shuffle": False}, {"drop_last": True}], ids=str)
def test_the_state_of_another_loader_is_refused(change):
    mine = {"batch_size": 2, "seed": 0, "shuffle": True, "drop_last": False}
    state = DataLoader(range(10), **mine).state_dict()
    [(name, value)] = change.items()
    with pytest.raises(ValueError, match=f"of a loader with {name}={mine[name]}, this one has {value};"):
        DataLoader(range(10), **mine | change).load_state_dict(state)
    with pytest.raises(ValueError, match="of a loader with items=10, this one has 11;"):
        DataLoader(range(11), **mine).load_state_dict(state)


# workers


@settings(max_examples=30)
@given(LOADERS, st.integers(0, 25))
def test_the_batches_are_the_same_for_any_number_of_workers(options, n):
    expected = None
    for num_workers in (0, 1, 2, 5):
        loader = DataLoader(Noisy(n, pause=1e-4), **options | {"num_workers": num_workers})
        found = [plain(batch) for _ in range(2) for batch in loader]
        assert found == (expected or found)
        expected = found


def test_what_items_draw_differs_between_batches_epochs_and_seeds_and_moves_nothing_on():
    manual_seed(0)
    expected = generator().random()
    manual_seed(0)
    loaders = [DataLoader(Noisy(6), 2, seed=seed) for seed in (0, 1)]
    drawn = [plain(batch)[1] for loader in loaders for _ in range(2) for batch in loader]
    assert len({number for numbers in drawn for number in numbers}) == 2 * 2 * 6
    assert drawn[0][0] != np.random.default_rng([0, 0]).random(), "which the order of a shuffle is drawn from"
    assert generator().random() == expected


def test_workers_prefetch_while_a_batch_is_used_but_not_without_bound():
    asked = []

    class Watched(Noisy):
        def __getitem__(self, index):
            asked.append(index)
            return index

    batches = iter(DataLoader(Watched(100), batch_size=2, num_workers=3))
    next(batches)
    deadline = time.monotonic() + 10
    while len(asked) < 14 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert sorted(asked) == list(range(14))  # the batch that was given, and 2 · 3 more


def test_workers_work_at_the_same_time():
    """Each item waits until another one is asked for."""
    meeting = threading.Barrier(2, timeout=10)

    class Meeting(Noisy):
        def __getitem__(self, index):
            meeting.wait()
            return index

    assert [batch.tolist() for batch in DataLoader(Meeting(4), num_workers=2)] == [[0], [1], [2], [3]]


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("DataLoader")]


class Fails(Noisy):
    def __getitem__(self, index):
        if index == 7:
            return self.broken_file(index)
        return index

    def broken_file(self, index):
        raise LookupError(f"item {index} is broken")


def test_nothing_is_left_behind():
    def consumer_fails():
        for _ in loader:
            raise KeyError

    loader = DataLoader(Noisy(100, pause=1e-3), batch_size=3, num_workers=3)
    for batch in loader:
        break
    assert threads() == []
    next(iter(loader))
    assert threads() == []
    with pytest.raises(KeyError):
        consumer_fails()
    assert threads() == []
    list(loader)
    assert threads() == []
    with pytest.raises(LookupError):
        list(DataLoader(Fails(10), num_workers=3))
    assert threads() == []
    left = iter(loader)
    next(left)
    assert len(threads()) == 3, "the control: they are there, and seen, while the loader is in use"
    left.close()
    assert threads() == []


def test_a_consumer_that_stops_waits_for_one_item_and_not_for_a_batch():
    """200 items of half a second: a batch would be 100 seconds."""
    asked = []

    class Slow(Noisy):
        def __getitem__(self, index):
            asked.append(index)
            if index:
                time.sleep(0.5)
            return index

    batches = iter(DataLoader(Slow(200), batch_sampler=[[0], [*range(1, 200)]], num_workers=1))
    next(batches)
    while len(asked) < 2:  # it has begun with the next batch
        time.sleep(0.001)
    batches.close()
    assert threads() == [] and len(asked) == 2


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_an_exception_arrives_with_its_traceback_and_its_batch(num_workers):
    given = []
    with pytest.raises(LookupError, match="item 7 is broken") as caught:
        for batch in DataLoader(Fails(20), batch_size=2, num_workers=num_workers):
            given += batch.tolist()
    assert given == [0, 1, 2, 3, 4, 5], "all batches before it"
    text = "".join(traceback.format_exception(caught.value))
    assert 'in broken_file\n    raise LookupError(f"item {index} is broken")' in text
    assert text.endswith("while a DataLoader made batch 3 of epoch 0, of the items [6, 7]\n")


def test_a_worker_computes_as_its_consumer_does():
    """numpy's error state is that of the consumer: here, in the tests, an overflow raises."""
    class Overflows(Noisy):
        def __getitem__(self, index):
            return np.float32(1e38) * np.float32(1e38)

    with pytest.raises(FloatingPointError):
        list(DataLoader(Overflows(4), num_workers=2))
    with np.errstate(over="ignore"):
        [batch] = DataLoader(Overflows(4), 4, num_workers=2)
    assert np.isinf(batch.numpy()).all()


def test_gradients_reach_a_tensor_through_a_batch_of_a_worker():
    x = Tensor(np.ones((3, 2), np.float32), requires_grad=True)
    [[batch]] = DataLoader(TensorDataset(x), batch_size=3, num_workers=1)
    batch.backward(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert x.grad.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["waits for a batch", "uses a batch"])
def test_ctrl_c_ends_the_program_at_once(where):
    code = f"""
import time
from tinyllm.data import DataLoader
class Slow:
    def __len__(self): return 10**6
    def __getitem__(self, index): time.sleep(0.01 if index < 4 else 0.3); return index
for batch in DataLoader(Slow(), batch_size=4, num_workers=3):
    print("batch", flush=True)
    if {where == "uses a batch"}: time.sleep(1000)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "batch\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt") and "Exception ignored" not in errors
