"""The commands with a folder that transformers wrote: text in, text out, and a run written for transformers."""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tinyllm import GPT, GPTConfig
from tinyllm.cli import main
from tinyllm.tokenizers import BPETokenizer, CharTokenizer

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 5


def tinyllm(*arguments):
    """The exit code of a command, and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(map(str, arguments))
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model with a tokenizer of Hugging Face's kind, and a larger embedding, as many have."""
    monkeypatch.chdir(tmp_path)
    tokenizer = BPETokenizer.train(TEXT, 270, pattern="gpt2")
    model = GPT(GPTConfig(vocab_size=270, block_size=16, n_layer=1, n_head=2, n_embd=8), seed=1)
    model.save_pretrained("model")
    tokenizer.save("model")
    Path("text.txt").write_text(TEXT)
    return Path("model")


def test_text_in_and_text_out(folder):
    code, out, err = tinyllm("generate", folder, "--prompt=the cat", "--max-new-tokens=5", "--temperature=0")
    assert (code, err) == (0, "") and out.startswith("the cat") and len(out) > len("the cat\n")


def test_it_is_measured_on_a_text(folder):
    code, out, err = tinyllm("eval", folder, "--data=text.txt", "--stride=4", "--json")
    found = json.loads(out)
    ids = BPETokenizer.load(folder).encode(TEXT)
    assert (code, err) == (0, "") and found["tokens"] == len(ids) - 1 and found["stride"] == 4
    first = len(BPETokenizer.load(folder).decode(ids[:1]))
    assert found["bytes"] == len(TEXT) - first
    assert found["bits_per_byte"] == pytest.approx(found["bits_per_token"] * found["tokens"] / found["bytes"])
    assert tinyllm("eval", folder)[2].endswith("was trained on; give one to measure on with --data\n")


def test_it_is_asked_questions(folder):
    swag = {"activity_label": "Cats", "ctx_a": "the cat sat.", "ctx_b": "it", "endings": ["on the mat.", "the dog."],
            "label": 1}  # fmt: skip
    Path("h.jsonl").write_text(json.dumps(swag))
    code, out, err = tinyllm("eval", folder, "--task=hellaswag", "--data=h.jsonl", "--json")
    assert (code, err) == (0, "") and json.loads(out)["acc"] in (0, 1) and json.loads(out)["acc_norm"] in (0, 1)


def test_it_is_shown(folder):
    code, out, err = tinyllm("info", folder)
    assert (code, err) == (0, "") and "270 tokens" in out and "trained" not in out


def test_a_tokenizer_larger_than_the_embedding(folder):
    BPETokenizer.train(TEXT, 271, pattern="gpt2").save(folder)
    message = "tinyllm: model: the tokenizer has 271 tokens, the model 270; they do not fit\n"
    assert tinyllm("generate", folder)[2] == message
    BPETokenizer.train(TEXT, 269, pattern="gpt2").save(folder)
    assert tinyllm("generate", folder, "--prompt=the", "--max-new-tokens=0")[:2] == (0, "the\n")


def test_a_folder_with_a_pickle(folder):
    os.rename(folder / "model.safetensors", folder / "pytorch_model.bin")
    code, out, err = tinyllm("generate", folder)
    assert (code, out) == (2, "") and "tinyllm: model/pytorch_model.bin is a pickle" in err
    assert err.splitlines()[1].startswith('python -c "import torch, safetensors.torch as s; ')


# export


@pytest.mark.parametrize("name, read", [("out.npz", np.load), ("out.safetensors", load_file)])
def test_weights_are_written(folder, name, read):
    assert tinyllm("export", folder, name) == (0, f"{name}\n", "")
    found, expected = read(name), GPT.from_pretrained(folder).state_dict()
    assert sorted(found.keys()) == sorted(expected)
    assert all(np.array_equal(found[key], array) for key, array in expected.items())


def test_a_folder_is_written_that_transformers_reads(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert tinyllm("export", folder, "out") == (0, "out\n", "")
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained("out").eval(), AutoTokenizer.from_pretrained("out")
    ids = tokenizer("the cat sat", return_tensors="pt").input_ids
    assert ids[0].tolist() == BPETokenizer.load(folder).encode("the cat sat").tolist()
    ours = GPT.from_pretrained(folder)(ids.numpy())
    np.testing.assert_allclose(ours.data, theirs(ids).logits.detach().numpy(), atol=1e-5)


def test_a_run_is_written_too(folder):
    tokenizer = CharTokenizer.train(TEXT)
    GPT(GPTConfig(vocab_size=tokenizer.vocab_size, block_size=8, n_layer=1, n_head=1, n_embd=8)).save_pretrained("run")
    tokenizer.save("run")
    assert tinyllm("export", "run", "copy")[0] == 0
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == {
        path.name: path.read_bytes() for path in Path("copy").iterdir()}  # fmt: skip


def test_mistakes_of_export(folder):
    Path("there.npz").write_text("precious")
    assert tinyllm("export", folder, "there.npz")[2] == "tinyllm: there.npz is there already; name another place\n"
    assert tinyllm("export", folder, "folder.bin")[2] == (
        "tinyllm: folder.bin: weights are written as .npz or .safetensors; for a folder, give a name without a dot\n")
    assert "is not the folder of a run" in tinyllm("export", "nowhere", "out.npz")[2]
    assert "OUT requires an argument" in tinyllm("export", folder)[2]
    assert not Path("out.npz").exists() and Path("there.npz").read_text() == "precious"


# real ones


def test_the_small_real_model_has_the_ids_of_transformers():
    if not os.environ.get("TINYLLM_DATA"):
        pytest.skip("set TINYLLM_DATA to the folder with the real weights")
    from transformers import AutoTokenizer

    from tinyllm.training.run import load_run

    folder = Path(os.environ["TINYLLM_DATA"], "weights/hf_tiny_random_gpt2")
    tokenizer, theirs = load_run(folder)[1], AutoTokenizer.from_pretrained(folder)
    for text in ("Hello world", " It's 3 o'clock;\n\n  naïve", TEXT):
        assert tokenizer.encode(text).tolist() == theirs(text).input_ids


def test_a_folder_without_a_tokenizer_is_shown_and_written_but_reads_no_text(folder):
    (folder / "tokenizer.json").unlink()
    assert "none in this folder" in tinyllm("info", folder)[1]
    assert tinyllm("export", folder, "out") == (0, "out\n", "") and not Path("out/tokenizer.json").exists()
    assert tinyllm("export", folder, "out.npz")[0] == 0
    code, _, said = tinyllm("generate", folder)
    assert code == 2 and "tokenizer.json: no such file" in said


def test_a_step_of_a_folder_of_hugging_faces(folder):
    assert tinyllm("step", "the cat", "--run", folder, "--html", "step.html") == (0, "the page is step.html\n", "")
