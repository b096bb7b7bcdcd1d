"""A text is scored token by token as its definition says, however it is cut into windows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinyllm import GPT, GPTConfig
from tinyllm.evaluation import log_probs, perplexity, score_text, sliding_windows

MODEL = GPT(GPTConfig(vocab_size=11, block_size=6, n_layer=1, n_head=2, n_embd=8, dropout=0.5), seed=1, dtype="float64")
for p in MODEL.parameters():
    p.data = p.data + 0.5 * np.random.default_rng(p.data.size).standard_normal(p.shape)
IDS = np.random.default_rng(0).integers(0, 11, 50)


def one_by_one(ids, stride):
    """− Σ log p of each token but the first, by its definition: token i is for the first window it is in."""
    nats = 0.0
    for i in range(1, len(ids)):
        begin = max(0, math.ceil((i - MODEL.block_size) / stride)) * stride
        with MODEL.evaluating():
            logits = torch.tensor(MODEL(ids[None, begin:i]).data[0, -1])
        nats -= torch.log_softmax(logits, -1)[ids[i]].item()
    return nats


@given(st.integers(2, 50), st.integers(1, 6))
def test_each_token_is_scored_once_by_the_first_window_it_is_in(n, stride):
    score = score_text(MODEL, IDS[:n], stride)
    assert score.tokens == n - 1
    assert score.nats == pytest.approx(one_by_one(IDS[:n], stride), rel=1e-10)


@given(st.integers(2, 200), st.integers(1, 20), st.data())
def test_windows(n, block_size, data):
    stride = data.draw(st.integers(1, block_size))
    scored = []
    for begin, end, first in sliding_windows(n, block_size, stride):
        assert 0 <= begin <= first < end <= n - 1 and end - begin <= block_size
        assert begin == 0 or first - begin >= block_size - stride, "what each can look back on"
        scored += range(first, end)
    assert scored == list(range(n - 1))


def test_the_picture_at_the_top_of_the_file():
    text = "the_cat_sat"
    rows = [(text[b:e], text[f + 1 : e + 1]) for b, e, f in sliding_windows(len(text), 4, 2)]
    assert rows == [("the_", "he_c"), ("e_ca", "at"), ("cat_", "_s"), ("t_sa", "at")]


def test_windows_of_several_batches_give_the_same(monkeypatch):
    whole = score_text(MODEL, IDS, 2)
    monkeypatch.setattr(perplexity, "SCORES", 1)
    seen = []
    alone = score_text(MODEL, IDS, 2, lambda *state: seen.append(state))
    assert alone.nats == pytest.approx(whole.nats, rel=1e-12) and alone.windows == whole.windows == len(seen)
    assert seen[-1] == (whole.windows, whole.windows)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_may_be_as_small_as_they_are_kept(dtype):
    assert score_text(MODEL, IDS.astype(dtype), 2) == score_text(MODEL, IDS, 2)


def test_what_is_derived_from_it():
    score = perplexity.TextScore(nats=8 * math.log(2), tokens=4, windows=1)
    assert score.loss == pytest.approx(2 * math.log(2)) and score.perplexity == pytest.approx(4)
    assert score.bits_per_token == pytest.approx(2) and score.bits_per_byte(16) == pytest.approx(0.5)


def test_log_probs_are_those_of_torch():
    ids, targets = IDS[:24].reshape(4, 6), IDS[24:48].reshape(4, 6).copy()
    targets[1, 2:] = targets[3] = -100
    found, likeliest = log_probs(MODEL, ids, targets)
    with MODEL.evaluating():
        logits = torch.tensor(MODEL(ids).data)
    expected = -torch.nn.functional.cross_entropy(logits.mT, torch.tensor(targets), reduction="none").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.array_equal(likeliest, logits.argmax(-1).numpy() == targets)
    assert not MODEL.training or MODEL.drop.p, "dropout is off while it measures"


@pytest.mark.parametrize("stride", [0, -1, 7])
def test_strides_that_leave_tokens_out(stride):
    with pytest.raises(ValueError, match=f"stride must be from 1 to block_size=6, not {stride}"):
        score_text(MODEL, IDS, stride)


def test_a_text_too_short():
    with pytest.raises(ValueError, match="a text of 1 tokens has none to score"):
        score_text(MODEL, IDS[:1])


def test_a_model_that_diverged_is_told():
    broken = GPT(MODEL.config, seed=1)
    broken.lm_head.weight.data = np.full_like(broken.lm_head.weight.data, np.nan)
    with pytest.raises(ValueError, match="scores are not finite numbers"), np.errstate(all="ignore"):
        score_text(broken, IDS)
