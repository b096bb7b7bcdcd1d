"""word2vec against `reference/`: loss, gradients, a training; and that it learns which words are alike."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference.word2vec
from tests.op_checks import assert_close
from tinyllm.data import DataLoader
from tinyllm.data.skipgrams import SkipGrams
from tinyllm.models import Word2Vec
from tinyllm.models.embeddings import Embeddings
from tinyllm.optim import SGD, AdamW
from tinyllm.training.word2vec import train_word2vec
from tinyllm.training.word2vec_config import Word2VecConfig

V, C = 7, 5


def both(dtype):
    """The same model twice, every vector random: ours and torch's."""
    rng = np.random.default_rng(0)
    ours, theirs = Word2Vec(V, C, dtype=dtype), reference.word2vec.Word2Vec(V, C).to(getattr(torch, dtype))
    weights = {name: rng.standard_normal((V, C)).astype(dtype) for name, _ in ours.named_parameters()}
    ours.load_state_dict(weights)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return ours, theirs


@st.composite
def batches(draw):
    """Few words and many pairs: the same word is centre, context and negative, and that more than once."""
    P, K, seed = draw(st.integers(1, 20)), draw(st.integers(1, 6)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    return rng.integers(V, size=P), rng.integers(V, size=P), rng.integers(V, size=(P, K))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
@given(batch=batches())
def test_loss_and_gradients_are_torchs(dtype, tolerance, batch):
    ours, theirs = both(dtype)
    loss, expected = ours.loss(*batch), theirs.loss(*map(torch.from_numpy, batch))
    assert loss.dtype == dtype
    assert_close("loss", loss.data, expected.detach().numpy(), tolerance)
    loss.backward()
    expected.backward()
    for name, parameter in ours.named_parameters():
        assert_close(name, parameter.grad, dict(theirs.named_parameters())[name].grad.numpy(), tolerance)


def test_a_hundred_steps_are_torchs():
    ours, theirs = both("float64")
    optimizer, their_optimizer = SGD(ours.parameters(), lr=0.5), torch.optim.SGD(theirs.parameters(), lr=0.5)
    pairs = SkipGrams(np.random.default_rng(0).integers(V, size=400), np.ones(V), window=2, negatives=3, subsample=1)
    for batch in DataLoader(pairs, 4, shuffle=True, collate_fn=tuple):
        loss, expected = ours.loss(*batch), theirs.loss(*map(torch.from_numpy, batch))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        for model_loss, its_optimizer in ((loss, optimizer), (expected, their_optimizer)):
            model_loss.backward()
            its_optimizer.step()
            its_optimizer.zero_grad()


def test_the_first_loss_is_that_of_a_coin():
    """The vectors of neighbours begin at 0, so every one of the 1 + K answers is a guess."""
    loss = Word2Vec(V, C).loss(np.array([1, 2]), np.array([3, 0]), np.array([[4, 5, 6], [1, 1, 2]]))
    assert loss.item() == pytest.approx(4 * np.log(2), rel=1e-6)


def sentences(n):
    """Countries and animals in sentences of one form each: words that can replace each other should be alike."""
    rng, lines = np.random.default_rng(0), []
    for _ in range(n):
        lines.append(f"people travel to {rng.choice(COUNTRIES)} by boat every summer")
        lines.append(f"the small {rng.choice(ANIMALS)} eats grass in our garden")
    return "\n".join(lines)


COUNTRIES, ANIMALS = ["peru", "chad", "iran", "cuba"], ["cow", "goat", "hare", "mole"]


def test_it_learns_which_words_are_alike():
    config = Word2VecConfig(n_embd=16, epochs=4, learning_rate=2e-2, batch_size=64, subsample=1)
    losses = []
    model, words, counts = train_word2vec(config, sentences(300), lambda step, steps, loss: losses.append(loss))
    assert losses[0] == pytest.approx(6 * np.log(2), rel=1e-6) and np.mean(losses[-10:]) < 0.8 * losses[0]
    assert dict(zip(words, counts))["people"] == 300
    embeddings = Embeddings(words, model.input.weight.data)
    for group in (COUNTRIES, ANIMALS):
        for word in group:
            assert {near for near, _ in embeddings.neighbours(word, 3)} == set(group) - {word}


def test_the_same_seed_learns_the_same_vectors():
    def learn(seed):
        return train_word2vec(Word2VecConfig(n_embd=4, epochs=1, seed=seed), sentences(20))[0].state_dict()

    first, again, other = learn(0), learn(0), learn(1)
    for name in first:
        assert np.array_equal(first[name], again[name]) and not np.array_equal(first[name], other[name])


def test_batches_in_which_nothing_is_left_are_passed_over():
    losses = []
    config = Word2VecConfig(n_embd=4, epochs=3, batch_size=1, subsample=1e-2)
    train_word2vec(config, "a b " * 30, lambda step, steps, loss: losses.append(loss))
    assert len(losses) == 180 and None in losses and any(loss is not None for loss in losses)


def test_the_rate_falls_in_a_straight_line(monkeypatch):
    rates = []
    monkeypatch.setattr(AdamW, "step", lambda self: rates.append(self.param_groups[0]["lr"]))
    train_word2vec(Word2VecConfig(n_embd=4, epochs=2, batch_size=100, learning_rate=0.5, subsample=1), "a b c d " * 100)
    assert rates == pytest.approx([0.5, 0.4375, 0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625])
