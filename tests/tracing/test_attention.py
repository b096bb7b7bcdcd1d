"""The attention maps are the weights that the model used."""

import math

import numpy as np
import pytest
from matplotlib.image import imread

from tinyllm import GPT, GPTConfig
from tinyllm.tracing.attention import attention_weights, draw_attention, short


@pytest.fixture(scope="module")
def model():
    model = GPT(GPTConfig(vocab_size=7, block_size=6, n_layer=2, n_head=3, n_embd=12, dropout=0.5), dtype="float64")
    model.load_state_dict({name: 5 * array for name, array in model.state_dict().items()})
    return model


def test_they_are_the_softmax_of_the_first_layers_scores(model):
    ids = np.array([3, 1, 4, 1, 5])
    layers = attention_weights(model, ids)
    assert [P.shape for P in layers] == [(3, 5, 5)] * 2 and model.training
    for P in layers:
        np.testing.assert_allclose(P.sum(-1), 1, atol=1e-12)
        assert (np.triu(P, 1) == 0).all()
    block = model.h[0]
    x = block.ln_1(model.wte(ids[None]) + model.wpe.weight[:5])
    q, k, _ = np.split(block.attn.c_attn(x).data[0], 3, axis=-1)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        e = np.tril(np.exp(q[:, part] @ k[:, part].T / math.sqrt(4)))
        np.testing.assert_allclose(layers[0][head], e / e.sum(-1, keepdims=True), rtol=1e-9)


def test_one_picture_with_a_map_for_each_head(model, tmp_path):
    draw_attention(attention_weights(model, np.array([3, 1, 4])), ["$a$", "\\frac", "b"], tmp_path / "a.png", "$x")
    picture = imread(tmp_path / "a.png")
    assert picture.shape[2] == 4 and min(picture.shape[:2]) > 300
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_is_not_seen_gets_a_sign():
    assert short(" a\n\t\x07") == "␣a↵⇥□"


def test_without_matplotlib_the_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tinyllm-numpy\[plot\]'"):
        draw_attention([np.ones((1, 1, 1))], ["a"], tmp_path / "a.png", "")
