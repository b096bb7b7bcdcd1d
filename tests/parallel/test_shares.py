"""The gradients of several ranks: one sum, in an order that no rank's pace changes, and nobody waits for ever."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyllm import Tensor
from tinyllm.optim.flat import Vector
from tinyllm.parallel import Threads
from tinyllm.places import Place
from tinyllm.training import shares
from tinyllm.training.shares import Shares, turns

ROWS, WIDTH = 12, 3
# what a backward does with one of the parameters: (which, how); a number: in so many parts
USES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["whole", "rows", 1, 2, 3, 5, 12])), max_size=6)


def gradient(rank, use):
    return np.random.default_rng([rank, use]).standard_normal((ROWS, WIDTH)).astype(np.float32)


def rows_of(rank, use):
    return np.unique(np.random.default_rng([rank, use, 1]).integers(0, ROWS, 5))


def parts(n):
    return [slice(ROWS * i // n, ROWS * (i + 1) // n) for i in range(n)]


def added_up(size, uses, pace, early):
    """The gradients after all ranks gave theirs, each at its pace; and how many parts went straight to their place."""
    params, straight = [Tensor(np.zeros((ROWS, WIDTH), np.float32)) for _ in range(3)], []
    g = Vector(params, np.float32, lambda size, dtype: np.full(size, np.nan, dtype))
    added = np.zeros((3, size), np.int64)

    def work(rank):
        mine = Shares(team, rank, g, added)
        for number, (which, how) in enumerate(uses):
            time.sleep(next(pace[rank]))
            data, p = gradient(rank, number), params[which]
            place = mine.place(p)
            if how == "whole":
                mine.take(p, data)
            elif how == "rows" and place.started:
                rows = rows_of(rank, number)
                mine.take(p, place.add([rows], lambda rows: data[rows]))
            else:
                def compute(rows, out=None):
                    straight.append(out is not None)
                    return data[rows] if out is None else np.copyto(out, data[rows])

                mine.take(p, place.add(parts(1 if how == "rows" else how), compute))
        mine.finish()

    with pytest.MonkeyPatch.context() as patch, Threads(size) as team:
        patch.setattr(shares, "EARLY", early)
        team.start({"work": work})
        team.run("work")
    return [g.views[p].copy() for p in params], sum(straight)


def paces(size, seed):
    """For each rank seconds between what it does; rank `seed` is slow."""
    return [iter(np.where(rank == seed, 2e-3, 0) * np.ones(99)) for rank in range(size)]


@settings(max_examples=15)
@given(size=st.integers(2, 4), uses=USES, early=st.sampled_from([0, 100, 1 << 25]), data=st.data())
def test_the_sum_is_the_same_whoever_is_slow(size, uses, early, data):
    result, _ = added_up(size, uses, paces(size, None), early)
    slow = data.draw(st.integers(0, size - 1))
    for ours, again in zip(result, added_up(size, uses, paces(size, slow), 1 << 25)[0]):
        np.testing.assert_array_equal(ours, again)
    begun = set()
    expected = np.zeros((3, ROWS, WIDTH))
    for number, (which, how) in enumerate(uses):
        for rank in range(size):
            rows = rows_of(rank, number) if how == "rows" and which in begun else slice(None)
            expected[which][rows] += gradient(rank, number)[rows]
        begun.add(which)
    for which in begun:
        np.testing.assert_allclose(result[which], expected[which], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_the_first_share_of_every_part_needs_no_array_of_its_own(size, n):
    _, straight = added_up(size, [(0, n)], paces(size, None), 1 << 25)
    assert straight == n


@given(n=st.integers(1, 9), size=st.integers(1, 5))
def test_ranks_begin_apart_and_agree_on_who_comes_before_whom(n, size):
    routes = [turns(n, size, rank) for rank in range(size)]
    assert all(sorted(k for k, _ in route) == list(range(n)) for route in routes)
    assert len({route[0][0] for route in routes}) == min(n, size)
    done = [0] * size
    for _ in range(n * size):  # whoever may goes on: if nobody may, they would wait for each other
        able = [rank for rank in range(size) if done[rank] < n
                and all(done[other] >= before for other, before in routes[rank][done[rank]][1])]  # fmt: skip
        done[able[-1]] += 1
    assert done == [n] * size
    for rank, route in enumerate(routes):  # of two, one comes first
        for k, others in route:
            for other, before in others:
                back = dict(dict(routes[other])[k])[rank]
                assert (before == 0) != (back == 0)


def test_a_place_says_whether_something_is_in_it():
    p = Tensor(np.zeros((2, 2), np.float32))
    with Threads(1) as team:
        mine = Shares(team, 0, Vector([p], np.float32, np.empty), np.zeros((1, 1), np.int64))
        assert isinstance(mine.place(p), Place) and not mine.place(p).started
        mine.take(p, np.ones((2, 2), np.float32))
        assert mine.place(p).started
