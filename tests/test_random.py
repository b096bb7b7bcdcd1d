"""Random bits that depend on nothing but their place, and the generators that everything else is drawn from."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyllm
from tinyllm import Tensor, manual_seed, nn, rand, randn
from tinyllm.random import (
    GOLDEN,
    SITES,
    DropoutStream,
    _mix,
    draw_from,
    dropout_step,
    dropout_stream,
    generator,
    mask_counters,
    random_bits,
    threshold,
)

KEY = {"seed": 3, "step": 5, "site": 7}


def within(count, n, p, sigmas=5):
    """Whether so many of n tries with probability p are within so many standard deviations of the expected number."""
    return abs(count - n * p) <= sigmas * math.sqrt(n * p * (1 - p))


# the bits


def mix(z):
    """The same in Python's integers."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def test_mix_is_that_of_splitmix64():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    states = np.array([(1234567 + (i + 1) * GOLDEN) % 2**64 for i in range(4)], np.uint64)
    assert _mix(states).tolist() == published == [mix(int(z)) for z in states]


WORDS = st.integers(-(2**63), 2**64 - 1)


@given(WORDS, WORDS, WORDS, st.integers(0, 2**40), st.lists(st.integers(1, 4), max_size=3))
def test_bits_are_what_the_docstring_says(seed, step, site, first, shape):
    bits = random_bits(tuple(shape), seed=seed, step=step, site=site, first=first)
    key = 0
    for part in (seed, step, site):
        key = mix((key + GOLDEN + part) % 2**64)
    offset = first * math.prod(shape[1:])
    expected = [mix((key + (offset + i) * GOLDEN) % 2**64) for i in range(math.prod(shape))]
    assert bits.dtype == np.uint64 and bits.shape == tuple(shape)
    assert bits.reshape(-1).tolist() == expected


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.lists(st.integers(1, 3), max_size=2))
def test_a_part_of_the_batch_has_the_bits_of_the_whole(before, n, after, row):
    whole = random_bits((before + n + after, *row), **KEY)
    part = random_bits((n, *row), first=before, **KEY)
    assert (part == whole[before : before + n]).all()


@pytest.mark.parametrize("integer", [np.int64, np.uint8], ids=lambda t: t.__name__)
def test_the_key_may_be_of_numpys_integers(integer):
    assert (random_bits((4,), **{k: integer(v) for k, v in KEY.items()}) == random_bits((4,), **KEY)).all()


KEYS = [KEY, *({**KEY, part: k} for part, n in KEY.items() for k in (n + 1, n - 1, n ^ 2**33, -n))]
KEYS += [{"seed": 5, "step": 3, "site": 7}, {"seed": 3, "step": 7, "site": 5}]


def test_keys_that_differ_in_anything_share_no_bits_at_all():
    n = 20_000  # streams that overlapped anywhere would have equal elements; by chance two are equal once in 2⁶⁴ pairs
    assert len(np.unique([random_bits((n,), **key) for key in KEYS])) == n * len(KEYS)


def ones(bits):
    """How many of the bits are 1, for each of the 64 places."""
    return [int(((bits >> np.uint64(place)) & np.uint64(1)).sum()) for place in range(64)]


def test_bits_are_uniform():
    n = 100_000
    bits = random_bits((n,), **KEY)
    assert all(within(count, n, 0.5) for count in ones(bits))
    bytes_ = np.bincount((bits >> np.uint64(56)).astype(int), minlength=256)
    chi2 = float(((bytes_ - n / 256) ** 2 / (n / 256)).sum())
    assert abs(chi2 - 255) < 5 * math.sqrt(2 * 255)


@pytest.mark.parametrize("key", KEYS[1:], ids=str)
def test_neighbouring_keys_are_uncorrelated(key):
    n = 50_000
    a, b = random_bits((n,), **KEY), random_bits((n,), **key)
    assert all(within(count, n, 0.5) for count in ones(a ^ b))
    for lag in (1, 2):
        assert all(within(count, n - lag, 0.5) for count in ones(a[lag:] ^ b[:-lag]))


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 1000])
def test_neighbouring_elements_are_uncorrelated(lag):
    bits = random_bits((100_000,), **KEY)
    assert all(within(count, len(bits) - lag, 0.5) for count in ones(bits[lag:] ^ bits[:-lag]))


# dropout


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 1337])
def test_the_share_of_dropped_elements_is_p(p, seed):
    keep = DropoutStream(seed).keep((500, 400), p)
    assert keep.dtype == bool and keep.shape == (500, 400)
    assert within(int(keep.sum()), keep.size, 1 - p)


@pytest.mark.parametrize("p, kept", [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_and_everything_can_be_dropped(p, kept):
    assert DropoutStream(0).keep((1000, 100), p).mean() == kept


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_mean(p):
    n = 200_000
    y = nn.functional.dropout(Tensor(np.ones(n)), p).data
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    assert abs(y.mean() - 1) < 5 * math.sqrt(p / (1 - p) / n)


def masks(count=3, shape=(8, 16)):
    return [dropout_stream().keep(shape, 0.5) for _ in range(count)]


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def test_the_masks_of_a_step_depend_on_seed_step_and_order_alone():
    with dropout_step(seed=1, step=2):
        once = masks()
    masks()
    with dropout_step(seed=1, step=2):
        assert same(masks(), once)
    for other in ({"seed": 2, "step": 2}, {"seed": 1, "step": 3}, {"seed": 2, "step": 1}):
        with dropout_step(**other):
            assert not any((a == b).all() for a, b in zip(masks(), once))
    assert not (once[0] == once[1]).all() and not (once[1] == once[2]).all()


def test_a_worker_draws_its_rows_of_the_masks_of_the_batch():
    with dropout_step(seed=1, step=2):
        whole = masks()
    with dropout_step(seed=1, step=2, first=3):
        part = masks(shape=(4, 16))
    assert same(part, [mask[3:7] for mask in whole])


@pytest.mark.parametrize("first", [0, 3])
def test_masks_drawn_from_counters_are_the_same(first):
    counters = np.full((SITES, 2), 99, np.uint64)
    for step in (2, 2**40):
        with dropout_step(seed=1, step=step, first=first):
            expected = masks()
        counters[...] = mask_counters(1, step, first)  # what is there when the mask is drawn is what counts
        with dropout_step(seed=9, step=9, first=9, counters=counters):
            assert same(masks(), expected)


def test_a_kernel_gets_the_counter_of_its_mask_and_only_where_there_are_counters():
    x, drop = Tensor(np.ones((4, 6), np.float32)), nn.Dropout(0.5)
    counters = mask_counters(1, 2)
    fast = SimpleNamespace(kernel_for=lambda x: "a kernel")
    with dropout_step(1, 2):
        assert drop.mask(x.shape, x, fast).dtype == bool
    with dropout_step(1, 2, counters=counters):
        assert drop.mask(x.shape, x).dtype == bool, "the op itself runs: no kernel"
        assert np.array_equal(drop.mask(x.shape, x, fast), counters[1])
        assert drop.eval().mask(x.shape, x, fast) is None
    stream = DropoutStream(1, counters=counters)
    stream.site = SITES
    with pytest.raises(RuntimeError, match="may draw 1024 dropout masks here; --graph off"):
        stream.keep((2,), 0.5)


def test_a_counter_is_what_its_docstring_says():
    (key, first), i = mask_counters(1, 2, 5)[7].reshape(2, 1), np.arange(24, dtype=np.uint64)
    bits = _mix(key + (first * np.uint64(6) + i) * np.uint64(GOLDEN))
    with dropout_step(1, 2, 5):
        dropout_stream().site = 7
        assert np.array_equal(dropout_stream().keep((4, 6), 0.3), (bits >= threshold(0.3)).reshape(4, 6))


def test_dropout_steps_nest():
    with dropout_step(seed=1, step=2):
        expected = masks()
    with dropout_step(seed=1, step=2):
        first = masks(1)
        with pytest.raises(KeyError):
            with dropout_step(seed=9, step=9):
                masks(2)
                raise KeyError
        assert same(first + masks(2), expected)


def test_without_a_step_the_masks_run_on_and_manual_seed_starts_them_again():
    manual_seed(4)
    expected = masks(4)
    manual_seed(4)
    first = masks(1)
    with dropout_step(seed=1, step=2):
        masks()
    assert same(first + masks(3), expected)
    assert not (expected[0] == expected[1]).all()
    manual_seed(5)
    assert not (masks(1)[0] == expected[0]).all()


# generators


def draws():
    return [randn(4).tolist(), rand(4).tolist(), generator().permutation(9).tolist()]


def test_manual_seed_decides_every_draw():
    manual_seed(4)
    expected = draws()
    assert draws() != expected
    manual_seed(4)
    assert draws() == expected
    manual_seed(5)
    assert draws() != expected


def test_draw_from_starts_anew_and_leaves_the_outer_generator_unmoved():
    manual_seed(4)
    expected = [*draws(), *draws()]
    manual_seed(4)
    first = draws()
    with draw_from(8):
        inner = draws()
        with pytest.raises(KeyError), draw_from(9):
            draws()
            raise KeyError
        after = draws()
    assert first + draws() == expected
    with draw_from(8):
        assert draws() == inner and draws() == after


def test_a_seeded_model_neither_moves_nor_follows_the_generator():
    expected = randn(3).tolist()
    manual_seed(0)
    config = tinyllm.GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4)
    one = tinyllm.GPT(config, seed=1).state_dict()
    assert randn(3).tolist() == expected
    other = tinyllm.GPT(config, seed=1).state_dict()
    assert all((one[name] == other[name]).all() for name in one)
    assert not (tinyllm.GPT(config, seed=2).state_dict()["wte.weight"] == one["wte.weight"]).all()


def test_randn_and_rand_have_their_moments():
    n = 200_000
    x, u = randn(n, dtype="float64").data, rand(n, dtype="float64").data
    assert abs(x.mean()) < 5 / math.sqrt(n) and abs((x * x).mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n) and u.min() >= 0 and u.max() < 1


def test_rand_stays_below_1_also_in_float32(monkeypatch):
    class Largest:
        def random(self, shape=None, dtype=np.float64):
            return np.full(shape, np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(0)), dtype)

    monkeypatch.setattr("tinyllm.creation.generator", Largest)
    assert (rand(3).data < 1).all()


def test_nothing_special_happens_at_seed_0():
    """mix(0) is 0: without a constant, element 0 of the first mask would always be dropped."""
    assert random_bits((3,), seed=0).min() > 2**32
