"""Each rule by hand, and against the logits processor of transformers."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.generation import Rules, greedy, log_softmax, min_p, repetition_penalty, sample, temperature, top_k, top_p

LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25]))  # their softmax is what is in the brackets


def probabilities(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def test_temperature_sharpens_and_flattens():
    assert np.allclose(probabilities(temperature(LOGITS, 0.5)), np.array([0.01, 0.25, 0.0225, 0.0625]) / 0.345)
    roots = np.sqrt([0.1, 0.5, 0.15, 0.25])
    assert np.allclose(probabilities(temperature(LOGITS, 2.0)), roots / roots.sum())
    assert np.array_equal(probabilities(temperature(1e3 * LOGITS, 5e-324)), [0, 1, 0, 0])


def test_greedy_keeps_the_highest_and_the_first_of_two():
    assert np.array_equal(probabilities(greedy(LOGITS)), [0, 1, 0, 0])
    assert np.array_equal(probabilities(greedy(np.array([0.0, 1.0, 1.0]))), [0, 1, 0])


def test_top_k_keeps_the_k_likeliest():
    assert np.allclose(probabilities(top_k(LOGITS, 2)), [0, 2 / 3, 0, 1 / 3])
    assert np.array_equal(top_k(LOGITS, 9), LOGITS) and np.array_equal(top_k(LOGITS, 4), LOGITS)
    tie = np.array([0.0, 1.0, 0.0, 0.0, 2.0])
    assert np.isfinite(top_k(tie, 3)).tolist() == [True, True, False, False, True], "a tie keeps k, not more"


def test_top_p_keeps_the_fewest_that_have_p_together():
    assert np.allclose(probabilities(top_p(LOGITS, 0.6)), [0, 2 / 3, 0, 1 / 3])
    assert np.allclose(probabilities(top_p(LOGITS, 0.4)), [0, 1, 0, 0])
    assert np.allclose(probabilities(top_p(LOGITS, 0.8)), [0, 5 / 9, 1.5 / 9, 2.5 / 9])
    assert np.array_equal(top_p(LOGITS, 1.0), LOGITS)
    assert np.isfinite(top_p(np.zeros(5), 0.5)).tolist() == [True, True, True, False, False], "a tie keeps the fewest"
    assert np.allclose(probabilities(top_p(top_k(LOGITS, 2), 0.6)), [0, 1, 0, 0]), "of what is left: 0.5 of 0.75"


def test_min_p_keeps_what_is_near_the_likeliest():
    assert np.allclose(probabilities(min_p(LOGITS, 0.4)), [0, 2 / 3, 0, 1 / 3])
    assert np.allclose(probabilities(min_p(LOGITS, 0.25)), [0, 5 / 9, 1.5 / 9, 2.5 / 9])
    assert np.array_equal(min_p(LOGITS, 0), LOGITS) and np.array_equal(min_p(LOGITS, 1), greedy(LOGITS))


def test_repetition_penalty_lowers_what_was_seen_once():
    logits = np.array([2.0, -2.0, 3.0, 0.0])
    assert repetition_penalty(logits, [0, 1, 1, 0, 3], 4.0).tolist() == [0.5, -8.0, 3.0, 0.0]
    assert repetition_penalty(logits, [0, 1], 0.5).tolist() == [4.0, -1.0, 3.0, 0.0]


def test_sample_takes_each_token_as_often_as_its_probability():
    u = (np.arange(1000) + 0.5) / 1000
    assert np.bincount([sample(LOGITS, x) for x in u]).tolist() == [100, 500, 150, 250]
    cut = top_k(LOGITS, 2)
    assert np.bincount([sample(cut, x) for x in u], minlength=4).tolist() == [0, 667, 0, 333]
    assert sample(LOGITS, np.nextafter(1, 0)) == 3 and sample(cut, 0.0) == 1


def test_log_softmax_is_torchs():
    logits = np.random.default_rng(0).normal(0, 9, (3, 50))
    np.testing.assert_allclose(log_softmax(logits), torch.log_softmax(torch.from_numpy(logits), -1), atol=1e-14)


# against transformers

RULES = {
    "repetition_penalty": (repetition_penalty, transformers.RepetitionPenaltyLogitsProcessor, st.floats(0.1, 5)),
    "temperature": (temperature, transformers.TemperatureLogitsWarper, st.floats(0.05, 20)),
    "top_k": (top_k, transformers.TopKLogitsWarper, st.integers(1, 60)),
    "top_p": (top_p, transformers.TopPLogitsWarper, st.floats(0.01, 0.99)),
    "min_p": (min_p, transformers.MinPLogitsWarper, st.floats(0.001, 1)),
}


def rows(seed, V=50):
    rng = np.random.default_rng(seed)
    return rng.normal(0, rng.choice([0.1, 1, 10]), V), rng.integers(0, V, 20)


def theirs(processor, seen, logits):
    return processor(torch.from_numpy(seen)[None], torch.from_numpy(logits)[None])[0].numpy()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_that_of_transformers(name):
    ours, processor, values = RULES[name]

    @given(st.integers(0, 10**6), values)
    def check(seed, value):
        logits, seen = rows(seed)
        given_seen = (seen,) if name == "repetition_penalty" else ()
        expected = theirs(processor(value), seen, logits)
        np.testing.assert_allclose(probabilities(ours(logits, *given_seen, value)), probabilities(expected), atol=1e-14)

    check()


@given(
    st.integers(0, 10**6),
    st.fixed_dictionaries({}, optional={name: values for name, (*_, values) in RULES.items()}),
)
def test_the_rules_follow_each_other_as_in_transformers(seed, options):
    logits, seen = rows(seed)
    config = transformers.GenerationConfig(do_sample=True, **{"top_k": 0} | options)
    processors = transformers.GPT2LMHeadModel(SMALL)._get_logits_processor(config, len(seen), device="cpu")
    expected = theirs(processors, seen, logits)
    got = logits
    for _, got in Rules(**options).steps(logits, seen):
        pass
    np.testing.assert_allclose(probabilities(got), probabilities(expected), atol=1e-14)


SMALL = transformers.GPT2Config(vocab_size=50, n_positions=8, n_layer=1, n_head=1, n_embd=2)


def test_the_steps_have_names_and_a_temperature_of_0_ends_them():
    seen = np.array([1])
    names = [name for name, _ in Rules(1.5, 0.5, 3, 0.9, 0.1).steps(LOGITS, seen)]
    assert names == ["repetition_penalty 1.5", "temperature 0.5", "top_k 3", "top_p 0.9", "min_p 0.1"]
    assert [name for name, _ in Rules(temperature=0, top_k=3).steps(LOGITS, seen)] == ["greedy"]
    assert not list(Rules(top_p=1.0).steps(LOGITS, seen))


def test_greedy_heeds_the_repetition_penalty():
    logits = np.array([3.0, 2.0, 1.0])
    assert Rules(repetition_penalty=2.0, temperature=0).choose(logits, np.array([0]), 0.5) == 1
