"""With the cache and without: the same tokens, and to rounding the same scores, also where the window moves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.hugging_face import as_hugging_face
from tinyllm import GPT, Bigram, GPTConfig
from tinyllm.generation import KVCache, NoCache, Rules, beam_search, stream
from tinyllm.generation.cache import shared
from tinyllm.observe import Observer, observe

BOUND = {"float64": 1e-12, "float32": 1e-5}

models = st.builds(
    lambda sizes, dtype, options, seed: GPT(GPTConfig(**sizes, dropout=0.3, **options), seed=seed, dtype=dtype),
    st.fixed_dictionaries({
        "vocab_size": st.integers(2, 20), "block_size": st.integers(1, 9), "n_layer": st.integers(1, 3),
        "n_head": st.just(2), "n_embd": st.sampled_from([4, 8]),
    }),
    st.sampled_from(["float32", "float64"]),
    st.fixed_dictionaries({"bias": st.booleans(), "tie_weights": st.booleans()}),
    st.integers(0, 99),
)  # fmt: skip
rules = st.builds(
    Rules, repetition_penalty=st.sampled_from([1.0, 1.3]), temperature=st.sampled_from([0, 0.7, 1.0]),
    top_k=st.none() | st.integers(1, 9), top_p=st.none() | st.floats(0.1, 1), min_p=st.none() | st.floats(0, 1),
)  # fmt: skip


def lively(model):
    """Ten times the weights: scores that differ, so that a wrong position shows."""
    model.load_state_dict({name: 10 * array for name, array in model.state_dict().items()})
    return model


def prompt(model, batch, length, seed):
    return np.random.default_rng(seed).integers(0, model.config.vocab_size, (batch, length))


@settings(max_examples=100)
@given(models, rules, st.integers(1, 3), st.integers(1, 9), st.integers(1, 14), st.integers(0, 99))
def test_the_cache_changes_no_token_and_no_score(model, rules, batch, length, new, seed):
    model = lively(model)
    ids = prompt(model, batch, min(length, model.block_size), seed)
    steps = [list(stream(model, ids, new, rules, seed=seed, cache=cache)) for cache in (None, NoCache(model))]
    for cached, plain in zip(*steps, strict=True):
        assert np.array_equal(cached.ids, plain.ids)
        bound = BOUND[model.wte.weight.dtype.name] * max(1, abs(plain.logits).max())
        np.testing.assert_allclose(cached.logits, plain.logits, rtol=0, atol=bound)


@settings(max_examples=30)
@given(models, st.integers(1, 4), st.integers(1, 9), st.integers(1, 14), st.integers(0, 99))
def test_beams_branch_with_their_caches(model, num_beams, length, new, seed):
    model = lively(model.to("float64"))
    ids = prompt(model, 1, min(length, model.block_size), seed)
    cached, plain = (beam_search(model, ids, new, num_beams, eos_token_id=0, use_cache=use) for use in (True, False))
    for (score, sequence), (other_score, other_sequence) in zip(cached, plain, strict=True):
        assert np.array_equal(sequence, other_sequence) and score == pytest.approx(other_score, rel=1e-9)


@given(st.data())
def test_any_ids_may_follow_any_others(data):
    """A chat goes on from what was said, or begins anew; what both have in common is kept."""
    model = lively(GPT(GPTConfig(vocab_size=3, block_size=7, n_layer=2, n_head=2, n_embd=8), dtype="float64")).eval()
    cache, plain = KVCache(model, 2, 7), NoCache(model)
    for ids in data.draw(st.lists(st.integers(1, 9).flatmap(lambda T: st.lists(
            st.lists(st.integers(0, 2), min_size=T, max_size=T), min_size=2, max_size=2)), max_size=5)):  # fmt: skip
        np.testing.assert_allclose(cache(np.array(ids)), plain(np.array(ids)), rtol=0, atol=1e-12)


def test_it_is_the_cache_of_transformers():
    model = lively(GPT(GPTConfig(vocab_size=19, block_size=16, n_layer=3, n_head=2, n_embd=8), dtype="float64"))
    theirs, past = as_hugging_face(model), None
    ids, n = prompt(model, 2, 16, 0), 0
    cache = KVCache(model.eval(), 2, 16)
    for end in (5, 6, 7, 11, 16):
        with torch.no_grad():
            out = theirs(torch.from_numpy(ids[:, n:end]), past_key_values=past, use_cache=True)
        past, n = out.past_key_values, end
        np.testing.assert_allclose(cache(ids[:, :end]), out.logits[:, -1].numpy(), rtol=0, atol=1e-10)
        keys = np.stack([layer.keys.numpy() for layer in past.layers])
        np.testing.assert_allclose(cache.kv[:, 0, :, :, :end], keys, rtol=0, atol=1e-10)


def test_shared_beginnings():
    a = np.array([[1, 2, 3], [4, 5, 6]])
    assert shared(a, a) == 3 and shared(a, a[:, :2]) == 2 and shared(a[:, :0], a) == 0
    assert shared(a, np.array([[1, 2, 3], [4, 0, 6]])) == 1 and shared(a, a + 1) == 0


class Products(Observer):
    """Counts the positions that go through linear layers."""

    def __init__(self):
        self.positions = []

    def op_ran(self, op, inputs, options, output, saved):
        assert output.node is None and not output.requires_grad, "inference builds no graph"
        if op.__name__ == "linear":
            self.positions.append(output.data.size // output.shape[-1])


def test_a_new_token_costs_one_position_and_the_head_scores_the_last_one_alone():
    model = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=4))
    with observe(Products()) as heard:
        list(stream(model, prompt(model, 3, 5, 0), 5))
    rows = [[3 * positions] * 4 + [3] for positions in (5, 1, 1, 1, 8)]  # at last the window moved
    assert heard.positions == [n for step in rows for n in step]


def test_one_allocation_no_longer_than_what_is_asked_for():
    model = GPT(GPTConfig(vocab_size=5, block_size=64, n_layer=3, n_head=2, n_embd=8))
    assert model.new_cache(2, 10).kv.nbytes == 3 * 2 * 2 * 10 * 8 * 4
    assert model.new_cache(2, 1000).kv.shape == (3, 2, 2, 2, 64, 4)


def test_a_model_without_keys_has_no_cache():
    model = Bigram(5)
    assert isinstance(model.new_cache(1, 9), NoCache)
    assert model.generate([1], 9).tolist() == model.generate([1], 9, use_cache=False).tolist()
