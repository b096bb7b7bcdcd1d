"""The classifier against `reference/` and transformers, and what must change nothing: padding, order, the cut."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.classifier
import reference.gpt
import reference.training
from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig, Tensor
from tinyllm.data.windows import IGNORED
from tinyllm.finetune.classifier import Classifier
from tinyllm.finetune.classify_config import ClassifyConfig
from tinyllm.training.build import build_optimizer
from tinyllm.training.step import learning_rate, train_step

SIZES = {"vocab_size": 11, "block_size": 9, "n_layer": 2, "n_head": 2, "n_embd": 8}
PROBLEMS = ("single-label", "multi-label", "regression")


def ours(problem="single-label", K=3, dtype="float64", **sizes):
    """A Classifier whose every weight is random and far from 0."""
    model = Classifier(GPT(GPTConfig(**SIZES | sizes), dtype=dtype), K, problem)
    rng = np.random.default_rng(1)
    for parameter in model.parameters():
        parameter.data = (0.5 * rng.standard_normal(parameter.shape)).astype(dtype)
    return model


def torchs(model):
    """The same in torch."""
    config = reference.gpt.GPTConfig(**vars(model.config))
    theirs = reference.classifier.Classifier(reference.gpt.GPT(config), len(model.score.weight), model.problem).double()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in model.state_dict().items()})
    return theirs


def batch(lengths, problem="single-label", K=3, seed=0, more=0, padding=0):
    """[ids, last, targets, weights, next ids]; more: how much wider than the longest text."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(1, SIZES["vocab_size"], n) for n in lengths]
    ids = np.full((len(texts), max(lengths) + more), padding)
    next_ids = np.full_like(ids, IGNORED)
    for row, target, text in zip(ids, next_ids, texts):
        row[: len(text)], target[: len(text) - 1] = text, text[1:]
    targets = {
        "single-label": rng.integers(K, size=len(texts)),
        "multi-label": rng.integers(2, size=(len(texts), K)).astype(float),
        "regression": rng.standard_normal((len(texts), K)),
    }[problem]
    return [ids, np.array(lengths) - 1, targets, rng.uniform(0.5, 2, len(texts)), next_ids]


LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def gradients(model, arrays, lm_weight):
    model.zero_grad()
    loss = model.loss(*arrays, lm_weight=lm_weight)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("problem", PROBLEMS)
@settings(max_examples=15)
@given(LENGTHS, st.sampled_from([0.0, 0.7]), st.booleans(), st.integers(0, 3))
def test_loss_and_gradients_are_torchs(problem, lengths, lm_weight, tie_weights, seed):
    model = ours(problem, tie_weights=tie_weights)
    theirs, arrays = torchs(model), batch(lengths, problem, seed=seed)
    loss, grads = gradients(model, arrays, lm_weight)
    expected = theirs.loss(*map(torch.tensor, arrays), lm_weight=lm_weight)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            assert_close(name, grads[name], parameter.grad.numpy(), 1e-10)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_ten_steps_are_torchs(problem):
    """Clipping, AdamW and its schedule included."""
    config = ClassifyConfig(batch_size=4, max_iters=10, learning_rate=1e-2, dtype="float64")
    model = ours(problem)
    theirs, state = torchs(model), SimpleNamespace(model=model, optimizer=build_optimizer(config, model), step=0)
    their_optimizer = reference.training.configure_optimizer(theirs, 0.0, (config.beta1, config.beta2), 0.1)
    for step in range(10):
        arrays = batch([5, 3, 6, 1], problem, seed=step)
        lr = learning_rate(config, step)
        progress = train_step(state, config, list(map(Tensor, arrays)), lambda model, *a: (model.loss(*a), {}))
        for group in their_optimizer.param_groups:
            group["lr"] = lr
        expected = theirs.loss(*map(torch.tensor, arrays))
        expected.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), config.grad_clip)
        their_optimizer.step()
        their_optimizer.zero_grad()
        assert progress.loss == pytest.approx(expected.item(), rel=1e-10)
        assert progress.grad_norm == pytest.approx(norm.item(), rel=1e-9)


@given(LENGTHS, st.integers(0, 3), st.sampled_from([0.0, 0.7]))
def test_padding_changes_nothing(lengths, more, lm_weight):
    """However much of it there is and whichever token it is made of; and that token learns nothing from it."""
    model, pad = ours(), 0
    loss, grads = gradients(model, batch(lengths), lm_weight)
    padded_loss, padded_grads = gradients(model, batch(lengths, more=more, padding=pad), lm_weight)
    assert padded_loss == pytest.approx(loss, rel=1e-12)
    for name, grad in grads.items():
        assert_close(name, padded_grads[name], grad, 1e-11)
    logits = model(*batch(lengths)[:2]).data
    for other in (pad, 7):
        assert_close("logits", model(*batch(lengths, more=more, padding=other)[:2]).data, logits, 1e-12)
    if not lm_weight:  # with it, the tied output layer lets every token learn
        assert not padded_grads["transformer.wte.weight"][pad].any()


@given(st.permutations(range(4)))
def test_the_order_in_the_batch_changes_nothing(order):
    model, arrays = ours(), batch([5, 2, 6, 1])
    loss, grads = gradients(model, arrays, 0.5)
    again, grads_again = gradients(model, [array[list(order)] for array in arrays], 0.5)
    assert again == pytest.approx(loss, rel=1e-12)
    for name, grad in grads.items():
        assert_close(name, grads_again[name], grad, 1e-11)


def test_where_a_text_ends_may_be_a_tensor():
    model, (ids, last, *_) = ours(), batch([5, 2, 6])
    assert np.array_equal(model(ids, Tensor(last)).data, model(ids, last).data)


def test_a_batch_in_parts_is_the_whole_batch():
    arrays = batch([5, 2, 6, 1, 3, 3])
    found = []
    for config in (ClassifyConfig(batch_size=6), ClassifyConfig(batch_size=2, gradient_accumulation=3)):
        config, model = replace(config, dtype="float64"), ours()
        state = SimpleNamespace(model=model, optimizer=build_optimizer(config, model), step=0)
        loss_of = lambda model, *a: (model.loss(*a, lm_weight=0.5), {})
        progress = train_step(state, config, list(map(Tensor, arrays)), loss_of)
        found.append((progress.loss, progress.grad_norm))
    assert found[1] == pytest.approx(found[0], rel=1e-12)


def test_transformers_reads_it_and_says_the_same(tmp_path):
    from transformers import GPT2ForSequenceClassification

    model = ours(dtype="float32", K=2)
    model.labels = {"id2label": {"0": "ham", "1": "spam"}, "label2id": {"ham": 0, "spam": 1}, "pad_token_id": 0}
    model.save_pretrained(tmp_path)
    theirs = GPT2ForSequenceClassification.from_pretrained(tmp_path)
    ids, last, *_ = batch([5, 2, 6])  # 0 is nowhere but in the padding
    expected = theirs(torch.tensor(ids)).logits.detach().numpy()
    assert_close("logits", model(ids, last).data, expected, 1e-5)
    assert theirs.config.id2label == {0: "ham", 1: "spam"}
    again = Classifier.from_pretrained(tmp_path)
    assert np.array_equal(again(ids, last).data, model.eval()(ids, last).data)
    assert again.problem == "single-label" and again.labels == model.labels


def test_what_is_no_classifier_is_refused(tmp_path):
    GPT(GPTConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is not a classifier: its config.json names no problem_type"):
        Classifier.from_pretrained(tmp_path)
