"""The loop around the rules: what it takes, gives and refuses."""

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig, Tensor
from tinyllm.generation import Rules, generate, stream
from tinyllm.generation.sampling import log_softmax


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


def test_several_samples_of_each_prompt_side_by_side(model):
    samples = model.generate([[1, 2], [3, 4]], 9, num_samples=3, seed=1).data
    assert samples.shape == (6, 11) and samples[:, 0].tolist() == [1, 1, 1, 3, 3, 3]
    assert len({tuple(row) for row in samples}) == 6, "drawn apart"
    assert model.generate([1, 2], 9, num_samples=3).shape == (3, 11)


def test_log_probabilities_are_the_models_own(model):
    ids, log_probs = model.generate([[1, 2], [3, 4]], 5, temperature=0.5, top_k=3, return_log_probs=True)
    expected = log_softmax(model(ids.data[:, :-1]).data[:, 1:])  # 7 tokens: within the window
    np.testing.assert_allclose(log_probs.data, np.take_along_axis(expected, ids.data[:, 2:, None], -1)[..., 0], 1e-5)
    ids, log_probs = model.generate([1, 2], 5, return_log_probs=True)
    assert ids.shape == (7,) and log_probs.shape == (5,)
    assert model.generate([1, 2], 0, return_log_probs=True)[1].shape == (0,)


def test_a_row_ends_at_its_eos_and_the_others_go_on(model):
    free = model.generate([[1, 2], [3, 4], [5, 6]], 12, seed=3).data
    eos = int(free[0, 4])
    ids = model.generate([[1, 2], [3, 4], [5, 6]], 12, seed=3, eos_token_id=eos).data
    for row, other in zip(ids, free):
        end = (row[2:] == eos).argmax() + 2 if eos in row[2:] else len(row)
        assert np.array_equal(row[: end + 1], other[: end + 1]) and (row[end:] == eos).all()
    assert model.generate(free[0, :2], 12, temperature=0, eos_token_id=int(
        model.generate(free[0, :2], 1, temperature=0).data[-1])).shape == (3,)  # fmt: skip


def test_a_stream_gives_each_token_at_once_and_lets_the_caller_train_in_between(model):
    model.train()
    steps = stream(model, [1, 2], 3, Rules(temperature=0))
    first = next(steps)
    assert model.training and model(np.array([[1]])).requires_grad
    assert first.logits.shape == (1, 11) and first.ids == first.logits.argmax()
    assert len(list(steps)) == 2
    assert not list(stream(model, [1, 2], 0))


def test_a_prompt_beyond_the_window_is_cut_with_a_warning(model):
    long = np.arange(11)
    with pytest.warns(UserWarning, match=r"the prompt has 11 tokens; the model sees the last 8 of them \(its block_s"):
        ids = model.generate(long, 5, temperature=0)
    assert ids.tolist()[:11] == long.tolist()
    assert ids.tolist()[11:] == model.generate(long[-8:], 5, temperature=0).tolist()[8:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature must be 0"),
        ({"temperature": float("nan")}, "temperature must be 0"),
        ({"top_k": 0}, "top_k must be 1 or more, not 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "top_p must be above 0"),
        ({"min_p": -0.1}, "min_p must be from 0 to 1, not -0.1"),
        ({"min_p": float("nan")}, "min_p must be from 0 to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be a positive number"),
        ({"num_samples": 0}, "num_samples must be 1 or more, not 0"),
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
