"""The folders of Hugging Face's transformers: what it writes is read here, what is written here it reads, and the
logits are the same. Its models are made from a configuration, nothing is downloaded.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from tinyllm import GPT, GPTConfig
from tinyllm.nn import init

logging.disable_progress_bar()
SIZES = {"vocab_size": 11, "n_positions": 8, "n_embd": 12, "n_layer": 2, "n_head": 3,
         "bos_token_id": 3, "eos_token_id": 4}  # fmt: skip
IDS = np.random.default_rng(0).integers(0, 11, (2, 8))


def transformers_model(**changes):
    """A model of transformers with weights that are not those it starts with, biases and norms as well."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**{**SIZES, **changes})).eval()
    for p in model.parameters():
        p.data.normal_(p.data.mean(), 0.3)
    return model


def their_logits(model, ids=IDS):
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.numpy()


def our_logits(model, ids=IDS):
    with model.evaluating():
        return model(ids).numpy()


def agree(ours, theirs, ids=IDS):
    np.testing.assert_allclose(our_logits(ours, ids), their_logits(theirs, ids), rtol=0, atol=1e-5)


@pytest.fixture
def theirs(tmp_path):
    model = transformers_model()
    model.save_pretrained(tmp_path)
    return model


def rewrite(folder, change):
    """Change the arrays {name: tensor} of a folder's file."""
    arrays = load_file(folder / "model.safetensors")
    save_file({name: array.clone() for name, array in change(arrays).items()}, folder / "model.safetensors")


# theirs here


def test_their_folder_gives_their_logits(tmp_path, theirs):
    ours = GPT.from_pretrained(tmp_path)
    agree(ours, theirs)
    assert ours.generation_config["eos_token_id"] == 4 and ours.generation_config["bos_token_id"] == 3


def test_it_is_in_evaluation_mode_as_theirs_is(tmp_path, theirs):
    ours = GPT.from_pretrained(tmp_path)
    assert ours.config.dropout == 0.1 and not ours.training
    assert np.array_equal(ours(IDS).data, ours(IDS).data)


def test_a_model_of_several_files(tmp_path, theirs):
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size=3000)
    names = {path.name for path in (tmp_path / "sharded").iterdir()}
    assert len(names) > 4 and "model.safetensors" not in names and "model.safetensors.index.json" in names
    agree(GPT.from_pretrained(tmp_path / "sharded"), theirs)


def test_an_output_layer_of_its_own(tmp_path):
    theirs = transformers_model(tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    assert not ours.config.tie_weights and "lm_head.weight" in ours.state_dict()
    agree(ours, theirs)


def test_a_model_without_its_head_has_names_without_prefix(tmp_path, theirs):
    theirs.transformer.save_pretrained(tmp_path)
    assert "wte.weight" in load_file(tmp_path / "model.safetensors")
    agree(GPT.from_pretrained(tmp_path), theirs)


def test_a_tied_output_layer_may_be_in_the_file_once_more(tmp_path, theirs):
    rewrite(tmp_path, lambda arrays: {**arrays, "lm_head.weight": arrays["transformer.wte.weight"]})
    agree(GPT.from_pretrained(tmp_path), theirs)
    rewrite(tmp_path, lambda arrays: {**arrays, "lm_head.weight": arrays["lm_head.weight"] + 1})
    with pytest.raises(ValueError, match="lm_head.weight is not wte.weight, but .* set tie_word_embeddings to false"):
        GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_the_masks_of_older_files_are_dropped_and_no_bias_is(tmp_path, theirs, prefix):
    def older(arrays):
        arrays = {name.replace("transformer.", prefix): array for name, array in arrays.items()}
        for i in range(2):
            arrays[f"{prefix}h.{i}.attn.bias"] = torch.tril(torch.ones(8, 8, dtype=torch.uint8))[None, None]
            arrays[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        return arrays

    rewrite(tmp_path, older)
    agree(GPT.from_pretrained(tmp_path), theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(tmp_path, dtype):
    theirs = transformers_model().to(dtype)
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    assert {p.dtype for p in ours.parameters()} == {np.dtype("float32")}
    agree(ours, theirs.float())


def test_double_precision_stays(tmp_path):
    theirs = transformers_model().double()
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    np.testing.assert_allclose(our_logits(ours), their_logits(theirs), rtol=0, atol=1e-13)


# ours there


@settings(max_examples=15)
@given(
    n_layer=st.integers(1, 3), n_head=st.integers(1, 3), head=st.integers(1, 6), vocab_size=st.integers(1, 12),
    block_size=st.integers(1, 9), tie=st.booleans(), bias=st.booleans(), qkv_bias=st.sampled_from([None, True, False]),
)  # fmt: skip
def test_transformers_reads_what_we_write(tmp_path_factory, n_layer, n_head, head, vocab_size, block_size, tie, bias,
                                          qkv_bias):  # fmt: skip
    """Where a bias is left out, transformers has one that is 0."""
    folder = tmp_path_factory.mktemp("ours")
    config = GPTConfig(vocab_size, block_size, n_layer, n_head, n_head * head, 0.1, bias, qkv_bias, tie)
    ours, rng = GPT(config), np.random.default_rng(0)
    for p in ours.parameters():
        p.data = (p.data + 0.3 * rng.standard_normal(p.shape)).astype(np.float32)
    ours.save_pretrained(folder)
    ids = rng.integers(0, vocab_size, (2, block_size))
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert theirs.config.tie_word_embeddings == tie and theirs.config.resid_pdrop == 0.1
    agree(ours, theirs, ids)
    again = GPT.from_pretrained(folder)
    assert again.config == config
    assert np.array_equal(our_logits(again, ids), our_logits(ours, ids))


def test_what_is_said_about_generating_is_passed_on(tmp_path, theirs):
    GPT.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert (again.generation_config.bos_token_id, again.generation_config.eos_token_id) == (3, 4)
    assert (again.config.bos_token_id, again.config.eos_token_id) == (3, 4)


# real ones


@pytest.fixture
def weights():
    if not os.environ.get("TINYLLM_DATA"):
        pytest.skip("set TINYLLM_DATA to the folder with the real weights")
    return Path(os.environ["TINYLLM_DATA"], "weights")


@pytest.mark.parametrize("name", ["hf_tiny_random_gpt2", "lmbuddy_tiny_gpt2", "llmviz_nano_sort"])
def test_small_real_models_have_the_logits_of_transformers(weights, name):
    ours, theirs = GPT.from_pretrained(weights / name), GPT2LMHeadModel.from_pretrained(weights / name).eval()
    T = min(ours.block_size, 512)
    agree(ours, theirs, np.random.default_rng(0).integers(0, ours.config.vocab_size, (2, T)))


def test_the_sorting_model_sorts_every_word_of_six_letters(weights):
    model = GPT.from_pretrained(weights / "llmviz_nano_sort")
    words = np.stack(np.meshgrid(*[range(3)] * 6), -1).reshape(-1, 6)
    assert len(words) == 729
    written = model.generate(words, 6, temperature=0).numpy()[:, 6:]
    assert np.array_equal(written, np.sort(words))


# its full size, where memory counts


MEASURE = """
import json, re, sys
import numpy as np
import tinyllm.data.hub, tinyllm.models.gpt  # what a process that reads models has loaded
def peak():  # resource's ru_maxrss would be that of the process that started this one, if it was larger
    with open("/proc/self/status") as status:
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
before, folder = peak(), sys.argv[1]
model = tinyllm.GPT.from_pretrained(folder)
with model.evaluating():
    logits = model(np.load(folder + "/ids.npy")).numpy()
np.save(folder + "/logits.npy", logits[:, :64])
print(json.dumps({"peak": peak() - before, "weights": sum(p.data.nbytes for p in model.parameters()),
                  "logits": logits.nbytes}))
"""


def test_at_its_full_size_the_logits_agree_and_memory_is_used_once(tmp_path):
    """The 124M model, 1,024 tokens: weights and logits at once, and little besides. torch computes the first 64."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says how much memory a process had at most")
    rng = np.random.default_rng(0)
    with init.skipped():
        model = GPT(GPTConfig(50257, 1024, 12, 12, 768))
    for name, p in model.named_parameters():
        p.data = rng.standard_normal(p.shape, np.float32) * np.float32(0.03) + np.float32("ln_" in name)
    model.save_pretrained(tmp_path)
    ids = rng.integers(0, 50257, (1, 1024))
    np.save(tmp_path / "ids.npy", ids)
    found = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, check=True).stdout
    memory = json.loads(found)
    assert memory["weights"] == 4 * 124_439_808 and memory["logits"] == 4 * 1024 * 50257
    assert memory["peak"] <= 1.3 * (memory["weights"] + memory["logits"])
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), their_logits(theirs, ids[:, :64]), rtol=0, atol=1e-4)
