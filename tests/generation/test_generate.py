"""The sampling rules by hand, and the loop around them."""

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig, Tensor
from tinyllm.generation import generate, sample, temperature, top_k, top_p

LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25]))  # their softmax is what is in the brackets


def probabilities(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def test_temperature_sharpens_and_flattens():
    assert np.allclose(probabilities(temperature(LOGITS, 0.5)), np.array([0.01, 0.25, 0.0225, 0.0625]) / 0.345)
    roots = np.sqrt([0.1, 0.5, 0.15, 0.25])
    assert np.allclose(probabilities(temperature(LOGITS, 2.0)), roots / roots.sum())


def test_top_k_keeps_the_k_likeliest():
    assert np.allclose(probabilities(top_k(LOGITS, 2)), [0, 2 / 3, 0, 1 / 3])
    assert np.array_equal(top_k(LOGITS, 9), LOGITS)
    assert np.isfinite(top_k(np.zeros(5), 2)).sum() == 2, "a tie keeps k, not more"


def test_top_p_keeps_the_fewest_that_have_p_together():
    assert np.allclose(probabilities(top_p(LOGITS, 0.6)), [0, 2 / 3, 0, 1 / 3])
    assert np.allclose(probabilities(top_p(LOGITS, 0.4)), [0, 1, 0, 0])
    assert np.allclose(probabilities(top_p(LOGITS, 0.8)), [0, 5 / 9, 1.5 / 9, 2.5 / 9])
    assert np.array_equal(top_p(LOGITS, 1.0), LOGITS)


def test_sample_takes_each_token_as_often_as_its_probability():
    u = (np.arange(1000) + 0.5) / 1000
    assert np.bincount([sample(LOGITS, x) for x in u]).tolist() == [100, 500, 150, 250]
    cut = top_k(LOGITS, 2)
    assert np.bincount([sample(cut, x) for x in u], minlength=4).tolist() == [0, 667, 0, 333]
    assert sample(LOGITS, np.nextafter(1, 0)) == 3 and sample(cut, 0.0) == 1


@pytest.fixture(scope="module")
def model():
    return GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=12), seed=1)


def test_greedy_takes_the_highest_score_at_every_step(model):
    ids = [3, 1]
    for _ in range(12):  # crosses the window of 8
        ids.append(int(model(np.array([ids[-8:]])).data[0, -1].argmax()))
    assert model.generate([3, 1], 12, temperature=0).tolist() == ids


def test_a_seed_gives_one_text_and_rows_are_drawn_apart(model):
    a, b, c = (model.generate(np.array([[1], [1]]), 20, seed=s).data for s in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert a.shape == (2, 21) and not np.array_equal(a[0], a[1])


def test_takes_lists_arrays_and_tensors_and_keeps_the_prompt(model):
    for prompt in ([1, 2], np.array([1, 2]), Tensor(np.array([1, 2]))):
        assert model.generate(prompt, 3).tolist()[:2] == [1, 2]
    assert model.generate([1, 2], 0).tolist() == [1, 2]


def test_runs_in_evaluation_mode_without_a_graph_and_gives_the_mode_back():
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=12, dropout=0.5))
    assert np.array_equal(model.generate([1], 9, seed=2).data, model.generate([1], 9, seed=2).data)
    assert model.training
    model.eval()
    model.generate([1], 1)
    assert not model.training


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature must be 0"),
        ({"temperature": float("nan")}, "temperature must be 0"),
        ({"top_k": 0}, "top_k must be 1 or more, not 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "top_p must be above 0"),
        ({"max_new_tokens": -1}, "max_new_tokens must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_impossible_options_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        generate(model, [1], **{"max_new_tokens": 1, **options})


def test_an_empty_prompt_is_refused(model):
    with pytest.raises(ValueError, match="the prompt is empty"):
        model.generate(np.zeros(0, int), 1)


def test_a_model_of_nan_is_refused_and_not_sampled(model):
    broken = GPT(model.config)
    broken.ln_f.weight.data = broken.ln_f.weight.data * np.nan
    for options in ({}, {"temperature": 0}):
        with pytest.raises(ValueError, match="the model's scores are not finite numbers; its training diverged"):
            broken.generate([1], 1, **options)


def test_a_temperature_next_to_0_is_greedy(model):
    assert model.generate([1], 9, temperature=1e-300).tolist() == model.generate([1], 9, temperature=0).tolist()


def test_ids_of_fractions_are_refused(model):
    with pytest.raises(TypeError, match="ids must be integers, not float32"):
        model.generate([0.7, 1.9], 1)
