"""A run that was stopped and goes on is the run that was not stopped: the same files, to the bit."""

import itertools
import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyllm import GPT, GPTConfig
from tinyllm.cli.app import main
from tinyllm.debug import first_non_finite
from tinyllm.optim import clip_grad_norm
from tinyllm.training.batches import batches
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.evaluate import evaluate
from tinyllm.training.plot import draw_loss
from tinyllm.training.run import CONFIG, STATE, has_checkpoint, load_run, resume_command
from tinyllm.training.state import Diverged, read_facts
from tinyllm.training.step import add_gradients, learning_rate, train_step
from tinyllm.training.train import train

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 5
TINY = TrainConfig(n_layer=1, n_head=2, n_embd=8, block_size=4, batch_size=2, max_iters=12, warmup_iters=2,
                   eval_interval=5, learning_rate=1e-2, dropout=0.2)  # fmt: skip
CORPUS = Corpus.of(TEXT, TINY.block_size)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Short samples, no picture, no look at the machine, no wait for the disk: all take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        patch.setattr("tinyllm.training.train.SAMPLE_TOKENS", 2)
        patch.setattr("tinyllm.training.run.draw_loss", lambda metrics, path: None)
        patch.setattr("tinyllm.training.run.environment", lambda config: {"backend": config.backend})
        yield


def files(folder):
    """{name: bytes}"""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def contents(folder):
    """The files of a run, but for the speed of each step."""
    found = files(folder)
    found["metrics.jsonl"] = [json.loads(line) for line in found["metrics.jsonl"].splitlines()]
    for entry in found["metrics.jsonl"]:
        del entry["tokens_per_second"]
    return found


# Going on


def crash_after(step):
    """A report that ends the training as nobody planned it."""
    def report(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return report


def train_in_pieces(config, folder, ends):
    """Train to the end; a piece ends after each step of `ends`, in a stop where it is saved, else in a crash."""
    for end, saved in [*ends, (None, True)]:
        resume = has_checkpoint(folder)
        steps = itertools.count(read_facts(folder / STATE)["step"] + 1 if resume else 1)
        if saved:
            train(config, CORPUS, folder, should_stop=lambda: next(steps) == end, resume=resume)
        else:
            with suppress(KeyboardInterrupt):
                train(config, CORPUS, folder, crash_after(end), resume=resume)


CONFIGS = st.builds(
    partial(replace, TINY),
    dropout=st.sampled_from([0.2, 0.0]),
    gradient_accumulation=st.integers(1, 2),
    bias=st.booleans(),
    qkv_bias=st.sampled_from([None, True, False]),
    tie_weights=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    eval_interval=st.sampled_from([5, 1, 7, 13]),
    learning_rate=st.sampled_from([1e-2, 1.0]),  # 1 is too much: the best weights are early ones
    grad_clip=st.sampled_from([1.0, 0.0]),
    seed=st.integers(0, 3),
)
ENDS = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=20)
@given(CONFIGS, ENDS)
@example(TINY, [(1, True)])
@example(TINY, [(5, True)]).via("at an evaluation")
@example(TINY, [(12, True)]).via("after the last step")
@example(TINY, [(1, True), (2, True), (5, True), (11, True)])
@example(replace(TINY, learning_rate=1.0, eval_interval=1), [(3, True)]).via("after the best step")
@example(TINY, [(4, False), (9, False), (12, False)]).via("crashes, the first before there is a checkpoint")
def test_the_pieces_of_a_run_are_one_run(config, ends):
    with TemporaryDirectory() as folder:
        whole, pieces = Path(folder, "whole"), Path(folder, "pieces")
        train(config, CORPUS, whole)
        train_in_pieces(config, pieces, ends)
        assert contents(pieces) == contents(whole)


def test_what_was_written_after_the_checkpoint_is_written_once(tmp_path):
    """A checkpoint at step 5, all of step 8, and half of the lines of step 9."""
    whole, folder = tmp_path / "whole", tmp_path / "cut"
    train(TINY, CORPUS, whole)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, CORPUS, folder, crash_after(8))
    with open(folder / "metrics.jsonl", "a") as metrics, open(folder / "samples.txt", "a") as samples:
        metrics.write('{"step": 9, "lo')
        samples.write("step 9, validat")
    train(TINY, CORPUS, folder, resume=True)
    assert contents(folder) == contents(whole)
    metrics = contents(folder)["metrics.jsonl"]
    assert [entry["step"] for entry in metrics] == list(range(1, 13))
    assert [entry["step"] for entry in metrics if "val_loss" in entry] == [5, 10, 12]
    samples = (folder / "samples.txt").read_text().splitlines()
    assert [line.partition(",")[0] for line in samples if "validation loss" in line] == ["step 5", "step 10", "step 12"]


@pytest.mark.parametrize("ends", [[], [(3, True), (9, True)]], ids=["whole", "in pieces"])
def test_the_best_weights_are_kept(tmp_path, ends):
    """A learning rate of 1 is too much: every evaluation after the first is worse."""
    train_in_pieces(replace(TINY, learning_rate=1.0, eval_interval=1), tmp_path, ends)
    losses = [entry["val_loss"] for entry in contents(tmp_path)["metrics.jsonl"]]
    facts, (best, _), (last, _) = read_facts(tmp_path / STATE), load_run(tmp_path, best=True), load_run(tmp_path)
    assert (facts["best_val_loss"], facts["best_step"]) == (min(losses), 1) and losses[-1] > min(losses)
    assert evaluate(best, CORPUS.val_ids, TINY.batch_size) == min(losses)
    assert evaluate(last, CORPUS.val_ids, TINY.batch_size) == losses[-1]


def test_the_picture_is_that_of_the_whole_run(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("tinyllm.training.run.draw_loss", draw_loss)
    train(TINY, CORPUS, tmp_path / "whole")
    train_in_pieces(TINY, tmp_path / "pieces", [(7, True)])
    assert (tmp_path / "pieces/loss.png").read_bytes() == (tmp_path / "whole/loss.png").read_bytes()


@settings(max_examples=15)
@given(CONFIGS, st.integers(2, 4))
def test_batches_that_are_added_up_are_one_large_batch(config, parts):
    """Same windows, same dropout masks: only the order of the sums differs."""
    config = replace(config, dtype="float64", gradient_accumulation=parts, learning_rate=1e-2)
    states = []
    for config in (config, replace(config, gradient_accumulation=1, batch_size=parts * config.batch_size)):
        state = initial_state(config, CORPUS)
        stream = batches(CORPUS.train_ids, config)
        losses = [train_step(state, config, next(stream)).loss for _ in range(6)]
        states.append({"losses": np.array(losses)} | state.arrays())
    for name, array in states[0].items():
        np.testing.assert_allclose(states[1][name], array, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("dropout", [0.0, 0.5], ids=["windows", "masks"])
def test_every_step_has_windows_and_masks_of_its_own(dropout):
    config = replace(TINY, dropout=dropout)
    state, losses = initial_state(config, CORPUS), []
    for state.step in (0, 1, 2, 0):
        step = 0 if dropout else state.step  # the same windows at every step: then it is the masks that differ
        losses.append(add_gradients(state, config, next(batches(CORPUS.train_ids, config, step)))[0])
    assert len(set(losses[:3])) == 3 and losses[3] == losses[0]


# Refusals


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped after step 7, and the text it learns."""
    home = tmp_path_factory.mktemp("stopped")
    (home / "cats.txt").write_text(TEXT)
    steps = itertools.count(1)
    config = replace(TINY, data=str(home / "cats.txt"))
    train(config, CORPUS, home / "run", should_stop=lambda: next(steps) == 7)
    return home


@pytest.fixture
def refused(stopped, tmp_path, capsys):
    """refused(change) changes a copy of that run, and gives the message with which `tinyllm train` will not go on."""
    folder = shutil.copytree(stopped / "run", tmp_path / "run")

    def refused(change, *flags):
        change(folder)
        before = files(folder)
        with pytest.raises(SystemExit) as leaving:
            main(["train", "--resume", str(folder), "--quiet", *flags])
        message = capsys.readouterr().err
        assert leaving.value.code == 2
        assert 1 <= len(message.splitlines()) <= 3 and str(folder) in message
        assert files(folder) == before, "a refusal changes nothing"
        return message

    return refused


def changed(name, change):
    """What gives a file of a folder other bytes."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def flipped(place):
    """What flips the lowest bit of the byte at place, a number or where a text is."""
    def change(content):
        at = content.index(place) if isinstance(place, bytes) else range(len(content))[place]
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return change


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, 1000, 5000, -1000, -1])
def test_a_checkpoint_that_was_cut_short_is_refused(refused, length):
    assert STATE in refused(changed(STATE, lambda content: content[:length]))


@pytest.mark.parametrize("place", [
    0, 3, 7, 8, 9, -1, -1000, -5000, b"__metadata__", b"state", b"step", b"7, ", b"best_step", b"text_sha256",
    b"samples_bytes", b"sha256", b"m.h.0", b"F32", b"shape", b"data_offsets"], ids=str)  # fmt: skip
def test_a_checkpoint_with_a_flipped_bit_is_refused(refused, place):
    assert STATE in refused(changed(STATE, flipped(place)))


def test_every_byte_of_what_a_checkpoint_says_counts(stopped, tmp_path):
    folder = shutil.copytree(stopped / "run", tmp_path / "run")
    whole, facts = (folder / STATE).read_bytes(), read_facts(folder / STATE)
    for place in range(whole.index(b"m.h.0")):
        (folder / STATE).write_bytes(flipped(place)(whole))
        with pytest.raises(ValueError):
            if read_facts(folder / STATE) == facts:
                raise ValueError("a digit too far behind the point to make another number")
            train(TINY, CORPUS, folder, resume=True)
            pytest.fail(f"byte {place} of the checkpoint was changed, and nobody noticed")


@pytest.mark.parametrize("change", [
    ("n_embd = 8", "n_embd = 16"), ("n_layer = 1", "n_layer = 2"), ("bias = true", "bias = false"),
    ("tie_weights = true", "tie_weights = false"), ("block_size = 4", "block_size = 8"),
    ("n_head = 2", "n_head = 4"), ('dtype = "float32"', 'dtype = "float64"'),
], ids=lambda change: change[1])  # fmt: skip
def test_another_model_is_refused(refused, change):
    before, after = (line.encode() for line in change)
    message = refused(changed(CONFIG, lambda content: content.replace(b"\n" + before, b"\n" + after)))
    assert "does not fit the configuration" in message


def test_another_text_is_refused(refused, tmp_path):
    (tmp_path / "dogs.txt").write_text(TEXT.replace("cat", "dog"))
    message = refused(lambda folder: None, f"--data={tmp_path / 'dogs.txt'}")
    assert "another text" in message


def test_a_folder_without_a_checkpoint_is_refused(refused):
    message = refused(lambda folder: (folder / STATE).unlink())
    assert "holds no checkpoint" in message and "start it again: tinyllm train --config" in message


def test_the_copy_that_was_refused_when_changed_goes_on_as_it_is(stopped, tmp_path, capsys):
    """The control of the tests above."""
    folder = shutil.copytree(stopped / "run", tmp_path / "run")
    with pytest.raises(SystemExit, check=lambda leaving: leaving.code == 0):
        main(["train", "--resume", str(folder), "--quiet"])
    assert capsys.readouterr() == ("", "") and read_facts(folder / STATE)["step"] == 12


# Numbers that are not finite


IDS = np.array([[0, 1, 2, 3], [3, 1, 0, 2]])
SMALL = GPTConfig(vocab_size=4, block_size=4, n_layer=2, n_head=2, n_embd=8, tie_weights=False, dropout=0.1)


def diagnosis(change, dy=1.0):
    """What is said of a step of a model after change({name: array}), where dy is dL/dloss."""
    model = GPT(SMALL)
    change({name: parameter.data for name, parameter in model.named_parameters()})

    def step():
        model.loss(IDS, IDS[::-1]).backward(dy)
        clip_grad_norm(model.parameters(), 1.0)

    return first_non_finite(step)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan], ids=str)
@pytest.mark.parametrize("name", [name for name, _ in GPT(SMALL).named_parameters()])
def test_a_broken_weight_is_named(name, value):
    def poison(weights):
        weights[name].flat[-1] = value

    assert diagnosis(poison).startswith(f"first not finite: the weight {name}, which ")


@pytest.mark.parametrize("name, size, op", [
    ("h.1.attn.c_attn.weight", 3e38, "linear"), ("h.1.attn.c_attn.weight", 1e25, "causal_attention"),
    ("h.0.mlp.c_fc.weight", 3e38, "linear"), ("h.0.ln_2.weight", 3e38, "layer_norm"),
    ("lm_head.weight", 3e38, "linear")])  # fmt: skip
def test_the_op_that_overflows_is_named(name, size, op):
    def enlarge(weights):
        weights[name][...] = size * np.sign(weights[name])

    said = diagnosis(enlarge)
    module = name.removesuffix(".weight") if op != "causal_attention" else "h.1.attn"
    assert re.match(rf"first not finite: the value \w+, from {op}_forward in {re.escape(module)} \(", said), said


def test_the_backward_that_overflows_is_named():
    def enlarge(weights):
        weights["lm_head.weight"] *= 1e4

    said = diagnosis(enlarge, dy=3e38)
    assert said.startswith("first not finite: the gradient of ln_f, from linear_backward in lm_head (Linear): ")


def test_a_gradient_whose_length_alone_overflows_is_told_apart():
    assert diagnosis(lambda weights: None) == "every number that leads to it is finite"
    assert diagnosis(lambda weights: None, dy=1e25) == (
        "first not finite: the length of all gradients together, though each number of them is finite: inf")


BROKEN = "first not finite: the weight wte.weight, which embedding reads in wte (Embedding): "


@pytest.mark.parametrize("rate, last_update, stop, message, cause", [
    (np.inf, 7, None, "step 8: the training diverged (loss nan, gradient norm nan); lower", BROKEN),
    (1e30, 7, None, "step 8: the training diverged (loss nan, gradient norm nan); lower", "from linear_forward in "),
    (np.inf, 10, None, "step 10: the training diverged (validation loss nan); lower", BROKEN),
    (np.inf, 7, 7, "step 7: the training diverged, its weights are not finite numbers any more", "Nothing was written"),
], ids=["a weight", "an op", "at an evaluation", "at a stop"])  # fmt: skip
def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
        tmp_path, monkeypatch, rate, last_update, stop, message, cause):  # fmt: skip
    good, folder, steps = tmp_path / "good", tmp_path / "bad", itertools.count(1)
    with suppress(KeyboardInterrupt):
        train(TINY, CORPUS, good, crash_after(5))
    monkeypatch.setattr("tinyllm.training.step.learning_rate",
                        lambda config, step: rate if step + 1 == last_update else learning_rate(config, step))
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        train(TINY, CORPUS, folder, should_stop=lambda: next(steps) == stop)
    assert str(error.value).startswith(message) and cause in str(error.value)
    assert error.value.__notes__ == [f"the checkpoint of step 5 is whole; go on from it: {resume_command(folder)}"]
    expected, found = contents(good), contents(folder)
    assert found.pop("metrics.jsonl")[:5] == expected.pop("metrics.jsonl")
    assert found == expected
