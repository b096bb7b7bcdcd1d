"""Memory is used again, and never while somebody can see what is in it."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyllm.kernels  # noqa: F401  (attaches the kernels)
from tinyllm import GPT, GPTConfig
from tinyllm.kernels.cpu import arena as arena_module
from tinyllm.kernels.cpu.arena import Arena
from tinyllm.observe import plain_ops

SIZES = st.integers(0, 400)
HOLD = (lambda a: a, lambda a: a[1:], lambda a: a.reshape(-1, 1).T, memoryview,
        lambda a: a.view(np.uint8), iter)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(arena_module, "SMALL", 0)
    monkeypatch.setattr(arena_module, "HUGE", 4096)


def check_all(held):
    for number, size, thing in held:
        if not hasattr(thing, "__next__"):
            content = np.asarray(thing).view(np.int64).reshape(-1)
            assert (content == number).all() and len(content) in (size, max(size - 1, 0))


@given(st.lists(st.tuples(st.sampled_from(["make", "make", "drop"]), SIZES, st.integers(0, 5)), max_size=60))
def test_what_is_held_in_any_way_stays_as_it_is(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena_module, "SMALL", 0)
        patch.setattr(arena_module, "HUGE", 4096)
        arena, held = Arena(slab=4096), []
        for number, (what, size, how) in enumerate(steps):
            if what == "make":
                array = arena.empty((size,), np.int64)
                array[...] = number
                held.append((number, size, HOLD[how](array)))
                del array
            elif held:
                del held[how % len(held)]
            check_all(held)
        assert arena.in_use <= arena.size
        held.clear()
        arena.trim()
        assert (arena.in_use, arena.size) == (0, 0), "all of it joined again, and given back"


def test_memory_is_used_again(small):
    arena = Arena(slab=1 << 16)
    places = set()
    for _ in range(100):
        a, b = arena.empty((1000,), np.float32), arena.empty((30, 7), np.float64)
        places.add((a.ctypes.data, b.ctypes.data))
        assert a.ctypes.data % 64 == b.ctypes.data % 64 == 0 and b.shape == (30, 7)
        del a, b
    assert len(places) == 1 and arena.size == 1 << 16 and arena.made == 200


def test_neighbours_join_into_room_for_something_larger(small):
    arena = Arena(slab=4096)
    parts = [arena.empty((1024,), np.uint8) for _ in range(4)]
    for i in (0, 2, 1, 3):
        parts[i] = None
    whole = arena.empty((4096,), np.uint8)
    assert arena.size == 4096 and arena.in_use == arena.peak == 4096
    del whole


def test_what_is_larger_than_a_slab_gets_its_own(small):
    arena = Arena(slab=4096)
    large, little = arena.empty((10_000,), np.uint8), arena.empty((10,), np.uint8)
    large[:], little[:] = 1, 2
    assert (large == 1).all() and arena.size == 3 * 4096


def test_no_cycle_keeps_memory(small):
    arena = Arena(slab=4096)
    gc.disable()
    try:
        array = arena.empty((100,), np.uint8)
        gone = weakref.ref(array)
        del array
        assert gone() is None
        arena.trim()
        assert arena.size == 0
    finally:
        gc.enable()


def test_threads_never_get_the_same_memory(small):
    arena, wrong = Arena(slab=1 << 16), []

    def work(number):
        rng, mine = np.random.default_rng(number), []
        for _ in range(400):
            array = arena.empty((int(rng.integers(1, 500)),), np.int64)
            array[...] = number
            mine.append(array)
            if len(mine) > 8:
                mine.pop(int(rng.integers(8)))
            wrong.extend(1 for array in mine if not (array == number).all())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arena.trim()
    assert not wrong and arena.in_use == arena.size == 0


# models

CONFIGS = [GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8),
           GPTConfig(vocab_size=5, block_size=6, n_layer=2, n_head=1, n_embd=12, tie_weights=False)]  # fmt: skip
ACTS = st.lists(st.tuples(st.sampled_from(["loss", "logits", "backward", "forget"]), st.integers(0, 1),
                          st.integers(1, 6), st.integers(0, 9)), min_size=3, max_size=25)  # fmt: skip


def interleave(acts):
    """Models in turn; results, gradients and graphs are kept as the acts say: each with a copy made at once."""
    models, kept = [GPT(config, seed=1, dtype="float64") for config in CONFIGS], []
    for what, which, T, i in acts:
        model = models[which]
        ids = np.random.default_rng([T, i]).integers(0, model.config.vocab_size, (2, T))
        if what == "logits":
            logits = model(ids)
            kept.append((logits, logits.data.copy()))
        elif what == "loss":
            kept.append((model.loss(ids, ids[:, ::-1].copy()), None))
        elif what == "backward" and any(copy is None for _, copy in kept):
            at = next(i for i, (_, copy) in enumerate(kept) if copy is None)  # the oldest graph, built long before
            loss, _ = kept.pop(at)
            loss.backward()
            for model in models:
                for p in model.parameters():
                    if p.grad is not None:
                        kept.append((p.grad, p.grad.copy()))
                model.zero_grad()
        elif what == "forget" and kept:
            del kept[i % len(kept)]
        for thing, copy in kept:
            assert copy is None or np.array_equal(getattr(thing, "data", thing), copy)
    return [copy for _, copy in kept if copy is not None]


@settings(max_examples=15)
@given(ACTS, ACTS)
def test_models_threads_and_kept_tensors_share_one_arena_and_nothing_else(first, second):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena_module, "SMALL", 0)
        with plain_ops():
            expected = [interleave(acts) for acts in (first, second)]
        results, errors = {}, []

        def work(name, acts):
            try:
                results[name] = interleave(acts)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors
        for name, arrays in enumerate(expected):
            for ours, theirs in zip(results[name], arrays, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
