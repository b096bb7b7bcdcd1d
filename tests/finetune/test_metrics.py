"""The counts of a classifier and naive Bayes, equal to scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from tinyllm.finetune.metrics import Scores
from tinyllm.finetune.naive_bayes import NaiveBayes

K = 4
NAMES = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}


@given(st.lists(st.tuples(st.integers(0, K - 1), st.integers(0, K - 1)), min_size=1, max_size=30))
def test_scores_of_one_class_a_text_are_scikit_learns(pairs):
    truth, predicted = np.array(pairs).T
    scores = Scores.of_ids(truth, predicted, K)
    assert np.array_equal(scores.confusion, metrics.confusion_matrix(truth, predicted, labels=range(K)))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    for name, theirs in NAMES.items():
        expected = theirs(truth, predicted, labels=range(K), average=None, zero_division=0)
        np.testing.assert_allclose(getattr(scores, name), expected, atol=1e-12)


@given(st.integers(1, 20), st.integers(0, 100))
def test_scores_of_several_classes_a_text_are_scikit_learns(n, seed):
    truth, predicted = np.random.default_rng(seed).random((2, n, K)) < 0.4
    scores = Scores(truth, predicted)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    for name, theirs in NAMES.items():
        expected = theirs(truth, predicted, average=None, zero_division=0)
        np.testing.assert_allclose(getattr(scores, name), expected, atol=1e-12)


@given(st.lists(st.lists(st.sampled_from("Win free Cash now meet me at home tonight".split()), min_size=1), min_size=4),
       st.integers(0, 9))  # fmt: skip
def test_naive_bayes_is_scikit_learns(texts, seed):
    texts = [" ".join(words) for words in texts]
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(2, size=len(texts) - 2))
    count = CountVectorizer(token_pattern=r"\w+")
    theirs = MultinomialNB().fit(count.fit_transform(texts), labels)
    ours = NaiveBayes(texts, labels, 2)
    assert list(ours.ids) == list(count.get_feature_names_out())
    np.testing.assert_allclose(ours.log_word, theirs.feature_log_prob_, atol=1e-12)
    np.testing.assert_allclose(ours.log_class, theirs.class_log_prior_, atol=1e-12)
    new = ["free CASH tonight", "nobody knows", *texts]
    expected = theirs.predict_log_proba(count.transform(new))
    clear = np.abs(expected[:, 0] - expected[:, 1]) > 1e-9
    assert np.array_equal(ours.predict(new)[clear], theirs.predict(count.transform(new))[clear])
