"""Beam search against transformers, and against looking at every sequence there is."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.hugging_face import as_hugging_face
from tests.generation.test_cache import lively
from tinyllm import GPT, GPTConfig
from tinyllm.generation import beam_search, log_softmax


def model_of(seed, vocab_size=9):
    sizes = {"vocab_size": vocab_size, "block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 8}
    return lively(GPT(GPTConfig(**sizes), seed=seed, dtype="float64"))


def log_prob(model, ids, prompt):
    """Σ log p of the tokens after the first `prompt` ones."""
    scores = log_softmax(model(ids[None, :-1]).data[0])
    return sum(scores[t - 1, ids[t]] for t in range(prompt, len(ids)))


@settings(max_examples=60)
@given(
    st.integers(0, 999), st.integers(1, 4), st.integers(1, 10), st.none() | st.just(2),
    st.sampled_from([1.0, 0.0, 2.0, -1.0]), st.sampled_from([1.0, 1.4]),
)  # fmt: skip
def test_the_sequences_and_scores_of_transformers(seed, num_beams, new, eos, length_penalty, penalty):
    num_beams += 1  # one beam is another algorithm there
    model = model_of(seed)
    ids = np.random.default_rng(seed).integers(3, 9, 3)
    options = {"num_beams": num_beams, "length_penalty": length_penalty, "repetition_penalty": penalty,
               "eos_token_id": eos}  # fmt: skip
    expected = as_hugging_face(model).generate(
        torch.from_numpy(ids)[None], attention_mask=torch.ones(1, 3), max_new_tokens=new, do_sample=False,
        num_return_sequences=num_beams, return_dict_in_generate=True, output_scores=True, pad_token_id=2, **options)
    found = beam_search(model, ids, new, **options)
    np.testing.assert_allclose([score for score, _ in found], expected.sequences_scores.numpy(), rtol=1e-5, atol=1e-5)
    for (_, sequence), theirs in zip(found, expected.sequences.numpy(), strict=True):
        assert np.array_equal(sequence, theirs[: len(sequence)]) and (theirs[len(sequence) :] == 2).all()


def test_with_as_many_beams_as_sequences_it_finds_the_best_there_is():
    model, ids = model_of(3, vocab_size=4), np.array([1, 0])
    everything = [np.array([1, 0, *new]) for new in itertools.product(range(4), repeat=3)]
    everything.sort(key=lambda ids: -log_prob(model, ids, 2))
    for n, (score, sequence) in enumerate(beam_search(model, ids, 3, num_beams=16, length_penalty=0)):
        assert np.array_equal(sequence, everything[n])
        assert score == pytest.approx(log_prob(model, sequence, 2))


def test_one_beam_is_greedy():
    model = model_of(5)
    [(_, sequence)] = beam_search(model, [1, 2], 9, num_beams=1)
    assert sequence.tolist() == model.generate([1, 2], 9, temperature=0).tolist()


def test_no_new_tokens_and_a_search_that_ends_at_once():
    model = model_of(6)
    assert [(score, ids.tolist()) for score, ids in beam_search(model, [1], 0)] == [(0.0, [1])]
    [(score, ids)] = beam_search(model, [1], 30, num_beams=1, eos_token_id=int(model(np.array([[1]])).data.argmax()))
    assert len(ids) == 2 and score == pytest.approx(log_prob(model, ids, 1))


def test_what_it_refuses():
    with pytest.raises(ValueError, match="num_beams must be 1 or more, not 0"):
        beam_search(model_of(0), [1], 3, num_beams=0)
    with pytest.raises(ValueError, match="one prompt, got 2; search from one after the other"):
        beam_search(model_of(0), [[1], [2]], 3)
