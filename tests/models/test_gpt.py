"""What a GPT promises apart from its numbers."""

import json

import numpy as np
import pytest

from tinyllm import GPT, Bigram, GPTConfig
from tinyllm.optim import AdamW

SMALL = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=12)


def test_has_the_parameters_of_gpt2():
    """GPT-2 small has 124,439,808; its counts follow from the same formula as these."""
    C, V, T, L = 12, 11, 8, 2
    expected = V * C + T * C + L * (12 * C * C + 13 * C) + 2 * C
    assert sum(p.data.size for p in GPT(SMALL).parameters()) == expected
    C, V, T, L = 768, 50257, 1024, 12
    assert V * C + T * C + L * (12 * C * C + 13 * C) + 2 * C == 124_439_808


def test_the_position_looks_back_and_never_ahead():
    model = GPT(SMALL, dtype="float64")
    ids = np.random.default_rng(0).integers(0, 11, (1, 8))
    before = model(ids).data
    ids[0, 5] = (ids[0, 5] + 1) % 11
    after = model(ids).data
    assert np.array_equal(before[:, :5], after[:, :5])
    assert not np.allclose(before[:, 5:], after[:, 5:])


def test_one_seed_gives_one_model_in_both_dtypes():
    a, b, c = GPT(SMALL, seed=3), GPT(SMALL, seed=3, dtype="float64"), GPT(SMALL, seed=4)
    for name, array in a.state_dict().items():
        assert array.dtype == np.float32 and b.state_dict()[name].dtype == np.float64
        assert np.array_equal(array, b.state_dict()[name])
    assert not np.array_equal(a.wte.weight.data, c.wte.weight.data)


def test_initial_weights_are_gpt2s():
    model = GPT(GPTConfig(vocab_size=300, block_size=64, n_layer=8, n_head=4, n_embd=64))
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.data.any()
        elif ".ln_" in name or name.startswith("ln_f"):
            assert (p.data == 1).all()
        else:
            std = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02
            assert abs(p.data.std() - std) < 0.05 * std, name
            assert abs(p.data.mean()) < 4 * std / np.sqrt(p.data.size), name


def test_tied_weights_are_one_parameter():
    tied, untied = GPT(SMALL), GPT(GPTConfig(**{**vars(SMALL), "tie_weights": False}))
    assert tied.lm_head.weight is tied.wte.weight
    assert "lm_head.weight" not in tied.state_dict() and "lm_head.weight" in untied.state_dict()
    tied.load_state_dict(tied.state_dict())
    assert tied.lm_head.weight is tied.wte.weight
    assert tied.to("float64").lm_head.weight.dtype == "float64"
    optimizer = AdamW(tied.named_parameters(), lr=1e-3)
    assert sum(p is tied.wte.weight for p in optimizer.param_groups[0]["params"]) == 1


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("qkv_bias", [None, True, False])
def test_bias_options_are_not_ignored(bias, qkv_bias):
    names = GPT(GPTConfig(**{**vars(SMALL), "bias": bias, "qkv_bias": qkv_bias})).state_dict()
    assert ("h.0.attn.c_attn.bias" in names) == (bias if qkv_bias is None else qkv_bias)
    for name in ("h.0.attn.c_proj.bias", "h.0.mlp.c_fc.bias", "h.0.mlp.c_proj.bias", "h.0.ln_1.bias", "ln_f.bias"):
        assert (name in names) == bias


def test_dropout_only_in_training_and_from_the_stream():
    model = GPT(GPTConfig(**{**vars(SMALL), "dropout": 0.5}))
    ids = np.zeros((1, 8), int)
    assert not np.array_equal(model(ids).data, model(ids).data)
    model.eval()
    assert np.array_equal(model(ids).data, model(ids).data)
    assert np.array_equal(model(ids).data, model(ids).data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 5}, "n_embd=12 is not divisible by n_head=5; choose 10 or 15"),
        ({"vocab_size": 0}, "vocab_size must be a positive integer, not 0"),
        ({"n_layer": 1.5}, "n_layer must be a positive integer, not 1.5"),
        ({"dropout": 1.0}, "dropout must be a probability from 0 to below 1, not 1.0"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GPT(GPTConfig(**{**vars(SMALL), **change}))


def test_bad_ids_are_refused():
    model = GPT(SMALL)
    with pytest.raises(ValueError, match=r"block_size=8, got \(1, 9\)"):
        model(np.zeros((1, 9), int))
    with pytest.raises(ValueError, match=r"got \(8,\)"):
        model(np.zeros(8, int))
    with pytest.raises(IndexError, match="token id 11 is outside 0 … 10"):
        model(np.full((1, 3), 11))
    with pytest.raises(IndexError, match="token id -1 is outside"):
        model(np.full((1, 3), -1))
    with pytest.raises(TypeError, match="ids must be integers"):
        model(np.zeros((1, 3)))
    with pytest.raises(IndexError, match="target 11 is outside"):
        model.loss(np.zeros((1, 3), int), np.full((1, 3), 11))


def test_all_targets_ignored_is_nan_as_in_torch():
    model = GPT(SMALL)
    loss = model.loss(np.zeros((1, 3), int), np.full((1, 3), -100))
    assert np.isnan(loss.item())


def test_saved_and_loaded_it_is_the_same(tmp_path):
    for config in (SMALL, GPTConfig(**{**vars(SMALL), "tie_weights": False, "bias": False, "qkv_bias": True})):
        model = GPT(config, seed=5)
        model.save_pretrained(tmp_path)
        again = GPT.from_pretrained(tmp_path)
        assert again.config == config
        for name, array in model.state_dict().items():
            assert np.array_equal(array, again.state_dict()[name])


def test_a_folder_that_does_not_fit_is_explained(tmp_path):
    GPT(SMALL).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_embd": 16}))
    with pytest.raises(ValueError, match=r"wte.weight is \(11, 12\), must be \(11, 16\)"):
        GPT.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        GPT.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(ValueError, match="model.safetensors cannot be read"):
        GPT.from_pretrained(tmp_path)


def test_load_state_dict_lists_everything_that_is_wrong_and_changes_nothing():
    model = GPT(SMALL)
    before = model.state_dict()
    wrong = {**before, "wpe.weight": np.zeros((3, 12)), "extra": np.zeros(2)}
    del wrong["ln_f.bias"]
    with pytest.raises(ValueError) as error:
        model.load_state_dict(wrong)
    for part in ("missing ln_f.bias (12,)", "unexpected extra (2,)", "wpe.weight is (3, 12), must be (8, 12)"):
        assert part in str(error.value)
    assert all(np.array_equal(array, model.state_dict()[name]) for name, array in before.items())


def test_the_bigram_model_learns_what_follows_what():
    """After training on a ring 0 → 1 → 2 → 0, each token is followed by the next one."""
    model = Bigram(3)
    optimizer = AdamW(model.parameters(), lr=0.5)
    ids = np.arange(30)[None] % 3
    for _ in range(50):
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model.generate([0], 6, temperature=0).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_the_repr_shows_the_tree_with_shapes_and_counts():
    text = repr(GPT(SMALL))
    assert "(c_attn): Conv1D(12, 36)" in text and "weight (12, 36), bias (36,)" in text
    assert "tied" in text.splitlines()[-1]
    assert f"{sum(p.data.size for p in GPT(SMALL).parameters()):,}" in text.splitlines()[0]


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"targets \(3, 1\) must have the shape of the ids, \(1, 3\)"):
        GPT(SMALL).loss(np.zeros((1, 3), int), np.zeros((3, 1), int))


def test_sizes_may_be_numbers_of_numpys():
    assert GPT(GPTConfig(**{**vars(SMALL), "vocab_size": np.int64(11)})).lm_head.weight.shape == (11, 12)


@pytest.mark.parametrize("content", ["[]", "{}", '{"n_embd": 12}'])
def test_a_configuration_of_something_else_is_refused(content, tmp_path):
    GPT(SMALL).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="is not the configuration of a GPT: no .*n_layer"):
        GPT.from_pretrained(tmp_path)
