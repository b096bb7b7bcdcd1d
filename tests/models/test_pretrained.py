"""A folder in which something of a model is missing, misplaced or another thing: one clear error, and nothing runs."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tinyllm import GPT, GPTConfig
from tinyllm.models.weights import INDEX, PICKLES

CONFIG = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=3, n_embd=12)


@pytest.fixture
def folder(tmp_path):
    GPT(CONFIG, seed=1).save_pretrained(tmp_path)
    return tmp_path


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {name: value for name, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def edit_weights(folder, change):
    arrays = load_file(folder / "model.safetensors")
    save_file(change(arrays) or arrays, folder / "model.safetensors")


def complaint(folder):
    with pytest.raises((ValueError, OSError)) as error:
        GPT.from_pretrained(folder)
    assert str(folder) in str(error.value)
    return str(error.value)


# the configuration


def test_what_a_configuration_need_not_say(folder):
    """Hugging Face's own files do not know our names, and older ones not all of theirs."""
    edit_config(folder, resid_pdrop=..., tie_word_embeddings=..., bias=..., qkv_bias=..., model_type=...,
                activation_function=..., layer_norm_epsilon=..., architectures=["GPT2Model"])  # fmt: skip
    assert GPT.from_pretrained(folder).config == GPTConfig(**{**vars(CONFIG), "dropout": 0.1})


@pytest.mark.parametrize("changes", [{"activation_function": "gelu_pytorch_tanh"}, {"n_inner": 48}, {"n_inner": None}])
def test_other_ways_to_say_the_same(folder, changes):
    edit_config(folder, **changes)
    assert GPT.from_pretrained(folder).config == CONFIG


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'; this GPT has 'gpt2' alone"),
        ({"model_type": ["gpt2"]}, "model_type is \"['gpt2']\"; this GPT has 'gpt2' alone"),
        ({"activation_function": "relu"}, "activation_function is 'relu'; this GPT has 'gelu_new' alone"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is '1e-06'; this GPT has 1e-05 alone"),
        ({"scale_attn_weights": False}, "scale_attn_weights is 'False'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is 'True'"),
        ({"add_cross_attention": True}, "add_cross_attention is 'True'"),
        ({"n_inner": 37}, "n_inner is 37; this GPT has 4 · n_embd alone"),
        ({"n_embd": ...}, "is not the configuration of a GPT: no n_embd"),
        ({"n_embd": None}, "n_embd must be a positive integer, not None"),
        ({"n_embd": {}, "n_inner": 4}, "n_embd must be a positive integer, not {}"),
        ({"n_head": 5}, "n_embd=12 is not divisible by n_head=5; choose 10 or 15"),
        ({"n_layer": 10**9}, "a model of 1,000,000,000 layers and"),
        ({"n_layer": 40}, "a model of 40 layers and"),
        ({"vocab_size": 10**12}, "a model of 2 layers and 12,000,"),
        ({"n_layer": 3}, "missing h.2.ln_1.weight (12,); missing h.2.ln_1.bias (12,); missing h.2.attn.c_attn.weight"),
        ({"n_layer": 1}, "unexpected h.1.attn.c_attn.bias (36,)"),
        ({"n_positions": 9}, "wpe.weight is (8, 12), must be (9, 12)"),
        ({"bias": False, "qkv_bias": True}, "unexpected h.0.attn.c_proj.bias (12,)"),
    ],
)
def test_a_configuration_that_does_not_fit(folder, changes, message):
    edit_config(folder, **changes)
    assert message in complaint(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b'{"n_embd": 12, "n_embd": 13}', "config.json is not JSON: 'n_embd' stands there twice"),
        ("config.json", b"[" * 10**6, "config.json is not JSON: it is nested too deeply"),
        ("config.json", b" " * 10_000_001, "config.json is larger than 10,000,000 bytes"),
        ("generation_config.json", b"{", "generation_config.json is not JSON"),
        ("generation_config.json", b"[]", "generation_config.json must be a table of options, not []"),
    ],
)
def test_files_that_are_not_what_they_should_be(folder, name, content, message):
    (folder / name).write_bytes(content)
    assert message in complaint(folder)


values = st.none() | st.booleans() | st.integers(-2, 20) | st.integers() | st.floats() | st.text(max_size=5)
values |= st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values, max_size=2)
KEYS = ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner", "resid_pdrop", "tie_word_embeddings",
        "bias", "qkv_bias", "model_type", "activation_function", "layer_norm_epsilon", "eos_token_id"]  # fmt: skip


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(KEYS), values, min_size=1, max_size=3))
def test_any_configuration_is_refused_with_a_value_error_or_fits(tmp_path_factory, changes):
    folder = tmp_path_factory.getbasetemp() / "any-config"
    if not folder.exists():
        GPT(CONFIG).save_pretrained(folder)
        (folder / "config.json").rename(folder / "original")
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "original").read_text()) | changes))
    try:
        model = GPT.from_pretrained(folder)
    except ValueError as error:
        assert str(folder) in str(error)
    else:
        assert model(np.zeros((1, 8), int)).shape == (1, 8, 11)


# the weights


def test_every_key_is_accounted_for(folder):
    def change(arrays):
        arrays["score.weight"] = np.zeros((2, 12), np.float32)
        arrays["wpe.weight"] = arrays["wpe.weight"][:3]
        del arrays["ln_f.bias"]

    edit_weights(folder, change)
    message = complaint(folder)
    assert "missing ln_f.bias (12,)" in message
    assert "unexpected score.weight (2, 12)" in message
    assert "wpe.weight is (3, 12), must be (8, 12)" in message


def test_weights_of_another_architecture_give_a_list_that_ends(folder):
    edit_weights(folder, lambda _: {f"model.layers.{i}.mlp.up_proj.weight": np.zeros((3, 3), np.float32)
                                    for i in range(300)})  # fmt: skip
    message = complaint(folder)
    assert "missing wte.weight (11, 12); " in message and message.endswith("and 278 more")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_number_that_is_none(folder, value, dtype):
    def change(arrays):
        arrays["h.1.mlp.c_fc.weight"] = arrays["h.1.mlp.c_fc.weight"].astype(dtype)
        arrays["h.1.mlp.c_fc.weight"][7, 5] = value

    edit_weights(folder, change)
    assert "model.safetensors: h.1.mlp.c_fc.weight holds NaN or infinity; the training" in complaint(folder)


def test_integers_are_no_weights(folder):
    edit_weights(folder, lambda arrays: {**arrays, "ln_f.bias": np.zeros(12, np.int64)})
    assert "ln_f.bias is int64, must be float16, bfloat16, float32 or float64" in complaint(folder)


def test_a_name_with_and_without_its_prefix(folder):
    edit_weights(folder, lambda arrays: {**arrays, "transformer.ln_f.bias": arrays["ln_f.bias"]})
    assert "holds transformer.ln_f.bias, which is ln_f.bias once more" in complaint(folder)


@pytest.mark.parametrize("name", ["h.0.mlp.attn.bias", "other.h.0.attn.bias", "h.0.attn.bias.more", "h.x.attn.bias"])
def test_a_bias_at_the_place_of_no_mask_is_unexpected(folder, name):
    edit_weights(folder, lambda arrays: {**arrays, name: arrays["ln_f.bias"]})
    assert f"unexpected {name} (12,)" in complaint(folder)


# several files


@pytest.fixture
def sharded(folder):
    arrays = load_file(folder / "model.safetensors")
    names = sorted(arrays)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({name: arrays[name] for name in part}, folder / file)
    write_index(folder, {name: file for file, part in parts.items() for name in part})
    (folder / "model.safetensors").unlink()
    return folder


def write_index(folder, places):
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 5}, "weight_map": places}))


def places(folder):
    return json.loads((folder / INDEX).read_text())["weight_map"]


def test_a_model_in_two_files(sharded):
    assert np.array_equal(GPT.from_pretrained(sharded).wte.weight.data, GPT(CONFIG, seed=1).wte.weight.data)


def test_a_part_that_is_missing(sharded):
    (sharded / "b.safetensors").unlink()
    assert f"b.safetensors: no such file, but {INDEX} names it; fetch it, too" in complaint(sharded)


def test_an_index_and_a_part_that_do_not_fit(sharded):
    write_index(sharded, {**places(sharded), "more.weight": "a.safetensors"})
    assert f"{INDEX} and a.safetensors do not fit: more.weight is in {INDEX} alone" in complaint(sharded)
    left_out = "more.weight", "wte.weight", "wpe.weight"
    write_index(sharded, {name: file for name, file in places(sharded).items() if name not in left_out})
    message = complaint(sharded)
    assert "b.safetensors do not fit: wpe.weight is in b.safetensors alone; and 1 more" in message


@pytest.mark.parametrize(
    "file", ["../b.safetensors", "/etc/passwd", "sub/b.safetensors", "b.bin", "", ".", "..", "a\x1b.safetensors",
             "a" * 300 + ".safetensors"]
)  # fmt: skip
def test_an_index_leads_nowhere_else(sharded, file):
    write_index(sharded, {**places(sharded), "wte.weight": file})
    assert "is not the name of a .safetensors file in this folder" in complaint(sharded)


@pytest.mark.parametrize("content", ["[]", '{"weight_map": []}', '{"weight_map": {"a": 5}}', '{"weight_map": {}}'])
def test_what_is_no_index(sharded, content):
    (sharded / INDEX).write_text(content)
    assert f'{INDEX} must be {{"weight_map": {{name of an array: name of its file}}}}' in complaint(sharded)


# pickles


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('it was unpickled')",)


@pytest.mark.parametrize("suffix", PICKLES)
def test_a_pickle_is_refused_and_never_read(folder, suffix):
    (folder / "model.safetensors").unlink()
    file = folder / f"pytorch_model{suffix}"
    file.write_bytes(pickle.dumps(Trap()))
    assert f"{file} is a pickle: to read it is to run whatever program its author put into it" in complaint(folder)
    with pytest.raises(ValueError, match="is a pickle"):
        GPT.from_pretrained(folder, file.name)
    with pytest.raises(ValueError, match="is a pickle"):
        GPT.from_pretrained(file)


@pytest.mark.parametrize("disguise", [pickle.dumps({"a": 1}), b"PK\3\4" + bytes(100)], ids=["pickle", "torch's zip"])
def test_a_pickle_under_another_name_is_refused(folder, disguise):
    (folder / "model.safetensors").write_bytes(disguise)
    assert "cannot be read (a header of " in complaint(folder)


def test_the_line_that_converts_a_pickle_does(folder):
    arrays = {name: torch.tensor(array) for name, array in load_file(folder / "model.safetensors").items()}
    arrays["lm_head.weight"] = arrays["wte.weight"]  # tied, as torch saves it
    expected = GPT.from_pretrained(folder).state_dict()
    torch.save(arrays, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    code = re.search(r'python -c "(.*)"', complaint(folder))[1]
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    for name, array in GPT.from_pretrained(folder).state_dict().items():
        assert np.array_equal(array, expected[name])


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="config.json"):
        GPT.from_pretrained(tmp_path)
    GPT(CONFIG).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert "model.safetensors: no such file; give a folder with config.json and" in complaint(tmp_path)


# what is loaded is used


def test_a_model_that_was_loaded_can_be_trained_and_saved_in_its_place(folder):
    """Its weights are views of the file that is then replaced."""
    model = GPT.from_pretrained(folder)
    model.wte.weight.data += 1
    model.save_pretrained(folder)
    assert np.array_equal(GPT.from_pretrained(folder).wte.weight.data, GPT(CONFIG, seed=1).wte.weight.data + 1)


def test_nothing_is_drawn_for_weights_that_are_loaded(folder, monkeypatch):
    monkeypatch.setattr("tinyllm.nn.init.generator", None)
    GPT.from_pretrained(folder)
    with pytest.raises(TypeError):
        GPT(CONFIG)
