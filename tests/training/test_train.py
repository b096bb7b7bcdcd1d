"""Training on a small text, from the first batch to the folder that is left."""

import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import reference.gpt
from tinyllm.data import DataLoader, WindowDataset, python_manual, read_text, split
from tinyllm.training.config import PRESETS, SAMPLING, TrainConfig, preset_path
from tinyllm.training.corpus import Corpus
from tinyllm.training.evaluate import evaluate
from tinyllm.training.run import load_run
from tinyllm.training.state import Diverged
from tinyllm.training.train import train

TEXT = "the cat sat on the mat. the dog sat on the log. " * 60
SMALL = TrainConfig(n_layer=1, n_head=2, n_embd=16, block_size=16, batch_size=8, max_iters=60, warmup_iters=5,
                    eval_interval=25, learning_rate=1e-2, min_lr=1e-3, dropout=0.1)  # fmt: skip

CORPUS = Corpus.of(TEXT, SMALL.block_size)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, progress = tmp_path_factory.mktemp("run"), []
    state = train(SMALL, CORPUS, folder, progress.append)
    return state.model, state.tokenizer, folder, progress


def test_learns(trained):
    model, _, _, progress = trained
    assert len(progress) == 60 and [p.step for p in progress] == list(range(1, 61))
    assert progress[0].loss == pytest.approx(np.log(len(set(TEXT))), rel=0.05), "an untrained model knows nothing"
    assert progress[-1].val_loss < 0.6 * progress[0].loss
    assert [p.step for p in progress if p.val_loss is not None] == [25, 50, 60]
    assert progress[0].learning_rate == pytest.approx(1e-2 / 6) and progress[5].learning_rate == pytest.approx(1e-2)


def test_the_folder_holds_the_trained_model(trained):
    model, tokenizer, folder, _ = trained
    again, again_tokenizer = load_run(folder)
    ids = tokenizer.encode("the cat sat")[None]
    model.eval(), again.eval()
    assert np.array_equal(model(ids).data, again(ids).data)
    assert again_tokenizer.characters == tokenizer.characters
    assert again_tokenizer.decode(again.generate(again_tokenizer.encode("the"), 8, temperature=0)).startswith("the ")
    assert TrainConfig(**tomllib.loads((folder / "config.toml").read_text())) == SMALL


def test_the_same_seed_gives_the_same_files(trained, tmp_path):
    _, _, folder, _ = trained
    train(SMALL, CORPUS, tmp_path / "again")
    for file in folder.iterdir():
        if file.suffix not in (".jsonl", ".png"):  # tokens per second are never the same
            assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    train(replace(SMALL, seed=1), CORPUS, tmp_path / "other")
    assert (tmp_path / "other/model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_evaluation_counts_every_position_as_torch_does(trained):
    model, tokenizer, _, progress = trained
    val_ids = split(tokenizer.encode(TEXT), (0.9, 0.1))[1]
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(model.config)))
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    [(inputs, targets)] = DataLoader(WindowDataset(val_ids, 16), batch_size=len(val_ids))
    inputs, targets = torch.from_numpy(inputs.numpy()), torch.from_numpy(targets.numpy())
    with torch.no_grad():
        expected = theirs.loss(inputs, targets).item()
    assert inputs.shape == ((len(val_ids) - 1) // 16, 16) and inputs.shape[0] % 3 > 0
    assert evaluate(model, val_ids, batch_size=3) == pytest.approx(expected, rel=1e-5), "the last batch is shorter"
    assert progress[-1].val_loss == pytest.approx(expected, rel=1e-5)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a run: it holds no model.safetensors"):
        load_run(tmp_path)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_presets_are_configurations(path):
    TrainConfig(**tomllib.loads(path.read_text(encoding="utf-8")))


def test_shakespeare_char_cpu_is_nanogpts_recipe():
    config = TrainConfig(**tomllib.loads(preset_path("shakespeare-char-cpu").read_text()))
    assert (config.n_layer, config.n_head, config.n_embd, config.block_size, config.batch_size) == (4, 4, 128, 64, 12)
    assert (config.max_iters, config.learning_rate, config.min_lr, config.warmup_iters) == (2000, 1e-3, 1e-4, 100)
    assert (config.beta1, config.beta2, config.weight_decay, config.grad_clip) == (0.9, 0.99, 0.1, 1.0)
    assert (config.dropout, config.bias) == (0.0, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layer": 0}, "--n-layer must be 1 or more, not 0"),
        ({"learning_rate": -1.0}, "--learning-rate must be 0 or more, not -1.0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be 0 or more, not nan"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1, not 1.0"),
        ({"min_lr": 1.0}, "--min-lr must be at most --learning-rate 0.01, not 1.0"),
        ({"warmup_iters": 60}, "--warmup-iters must be below --max-iters 60, not 60"),
        ({"dtype": "float16"}, "--dtype must be float32 or float64, not float16"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_a_diverged_run_stops_and_keeps_what_was_good(tmp_path):
    seen, message = [], r"the training diverged \((validation )?loss .*\); lower --learning"
    wild = replace(SMALL, learning_rate=1e3, min_lr=0.0, grad_clip=0.0, warmup_iters=0, max_iters=30,
                   eval_interval=1)  # fmt: skip
    with np.errstate(all="ignore"), pytest.raises(Diverged, match=message):
        train(wild, CORPUS, tmp_path, seen.append)
    assert 0 < len(seen) < 30 and all(np.isfinite(p.loss) for p in seen)
    assert all(np.isfinite(p.data).all() for p in load_run(tmp_path)[0].parameters())


def test_a_text_too_short_to_validate_is_refused():
    with pytest.raises(ValueError, match="the last tenth of 100 characters, has 10: too few for a window"):
        Corpus.of(TEXT[:100], SMALL.block_size)


def test_warm_up_and_last_rate_follow_the_run():
    assert (TrainConfig().warmup_iters, TrainConfig().min_lr) == (100, 1e-4)
    assert TrainConfig(max_iters=60).warmup_iters == 3
    assert TrainConfig(learning_rate=1e-5).min_lr == pytest.approx(1e-6)


def test_a_path_with_any_character_survives_the_toml(tmp_path):
    config = replace(SMALL, data="it's \"here\"\\ü.txt")
    assert tuple(tomllib.loads(config.to_toml())["data"]) == config.data


@pytest.mark.slow
def test_the_default_run_learns_pythons_manual(tmp_path):
    """`tinyllm train`: a validation loss of at most 1.50, and a sample of mostly real words in the manual's layout."""
    text = python_manual()
    progress = []
    state = train(TrainConfig(), Corpus.of(text, 64), tmp_path, progress.append)
    assert progress[-1].val_loss <= 1.50
    sample = state.tokenizer.decode(state.model.generate(state.tokenizer.encode(text[:64]), 500, seed=1337, **SAMPLING))
    sample = sample[64:]
    known = set(re.findall("[a-z]+", text.lower()))
    written = re.findall("[a-z]+", sample.lower())
    assert len(written) > 40 and np.mean([word in known for word in written]) > 0.7
    assert max(map(len, sample.split("\n"))) < 200 and sample.count("\n") >= 3, "it writes lines, as the manual does"


@pytest.mark.slow
@pytest.mark.skipif("TINYLLM_DATA" not in os.environ, reason="TINYLLM_DATA names no folder with the text")
def test_nanogpts_recipe_learns_shakespeare(tmp_path):
    """`tinyllm train --preset shakespeare-char-cpu`: at most 1.90 over the whole validation split."""
    text = read_text(Path(os.environ["TINYLLM_DATA"], "text/tinyshakespeare.txt"))
    config = TrainConfig(**tomllib.loads(preset_path("shakespeare-char-cpu").read_text(encoding="utf-8")))
    progress = []
    train(config, Corpus.of(text, config.block_size), tmp_path, progress.append)
    assert progress[-1].val_loss <= 1.90
