"""--precision: what it means, where it can be said, and what is told where it cannot."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.command_line import runner
from tinyllm import GPT, GPTConfig, precision
from tinyllm.autograd import gradients
from tinyllm.finetune.classify_config import ClassifyConfig
from tinyllm.finetune.config import TuneConfig
from tinyllm.finetune.instruct_config import InstructConfig
from tinyllm.models.sizes import training_memory
from tinyllm.observe import plain_ops
from tinyllm.training.config import TrainConfig, read_toml

TRAIN = ("--data=cats.txt --n-layer=1 --n-head=1 --n-embd=8 --block-size=8 --batch-size=2 --max-iters=6 "
         "--eval-interval=3 --warmup-iters=1").split()  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder with a text: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    (tmp_path / "cats.txt").write_text("the cat sat on the mat\n" * 20)
    return runner(capsys)


# the policy


def test_it_holds_inside_and_not_outside():
    assert precision.current() == "fp32"
    with precision.precision("tf32"):
        assert precision.current() == "tf32"
        with precision.precision("bf16"):
            assert precision.current() == "bf16"
        assert precision.current() == "tf32"
    assert precision.current() == "fp32"


@pytest.mark.parametrize("settings, message", [
    ({"precision": "fp16"}, "--precision must be one of fp32, tf32, bf16, not 'fp16'"),
    ({"precision": "tf32"}, "--precision tf32 needs a GPU: choose --backend cupy, or --precision fp32"),
    ({"precision": "bf16"}, "--precision bf16 needs a GPU"),
    ({"precision": "bf16", "backend": "cupy", "dtype": "float64"}, "less than --dtype float64 asks for"),
])  # fmt: skip
@pytest.mark.parametrize("config", [TrainConfig, TuneConfig])
def test_a_configuration_that_cannot_be_is_refused(config, settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_bfloat16_is_for_losses_that_are_the_model_s():
    assert InstructConfig(precision="bf16", backend="cupy").precision == "bf16"
    with pytest.raises(ValueError, match="--precision bf16 is for train and finetune instruct: .* choose tf32 or fp32"):
        ClassifyConfig(precision="bf16", backend="cupy")
    assert ClassifyConfig(precision="tf32", backend="cupy").precision == "tf32"


def test_a_configuration_comes_back_from_its_file(tmp_path):
    config = TrainConfig(precision="bf16", backend="cupy")
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert TrainConfig(**read_toml(tmp_path / "config.toml")) == config


def test_bfloat16_takes_less_memory_but_for_the_optimizer():
    small, large = GPTConfig(n_layer=2, block_size=256, n_embd=64), GPTConfig(n_layer=2, block_size=8, n_embd=512)
    assert 0.5 < training_memory(small, 64, rounded=True) / training_memory(small, 64) < 0.52, "activations are most"
    assert 1 < training_memory(large, 1, rounded=True) / training_memory(large, 1) < 1.2, "parameters are most"


# a whole model

UNIT = {"fp32": 2**-24, "tf32": 2**-11, "bf16": 2**-9}  # how far a number is rounded


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_logits_and_gradients_are_those_of_the_plain_model(name, cupy):
    """To a few roundings of the largest entry, and no closer than that: the policy is what decides."""
    config = GPTConfig(vocab_size=65, block_size=16, n_layer=2, n_head=2, n_embd=32)
    ids = np.random.default_rng(0).integers(0, 65, (3, 16))
    targets = np.where(ids % 5 == 0, -100, np.roll(ids, -1))
    here, there = GPT(config, dtype="float64"), GPT(config).to("cupy")
    for p, exact in zip(there.parameters(), here.parameters()):
        if p.ndim > 1:  # as a trained model's: small ones would hide what rounding does
            exact.data = exact.data * 5
            p.data = p.data * 5.0
    if name == "bf16":
        there.to("bfloat16")
    with plain_ops():
        exact_logits, exact_loss = here(ids).data, here.loss(ids, targets)
        exact = gradients(exact_loss)
    with precision.precision(name):
        logits, loss = there(ids).data.get(), there.loss(ids, targets)
        grads = gradients(loss)
    assert loss.dtype == "float32" and abs(loss.item() - exact_loss.item()) < 24 * UNIT[name]
    errors = [error(logits, exact_logits)]
    errors += [error(grads[p].get(), exact[q]) for p, q in zip(there.parameters(), here.parameters(), strict=True)]
    assert max(errors) < 24 * UNIT[name], max(errors) / UNIT[name]
    assert name == "fp32" or max(errors) > UNIT[name], "nothing was rounded"


def error(ours, theirs):
    """Of the largest entry."""
    return abs(ours.astype(np.float64) - theirs).max() / abs(theirs).max()


# the commands


@pytest.mark.parametrize("command", [["train", *TRAIN], ["generate", "run"], ["eval", "run"], ["chat", "run"],
                                     ["finetune", "instruct"]], ids=lambda command: command[0])  # fmt: skip
def test_without_a_gpu_it_is_refused_in_one_line(command, run):
    for name in ("tf32", "bf16"):
        code, out, error = run(*command, "--precision", name)
        message = f"--precision {name} needs a GPU: choose --backend cupy, or --precision fp32"
        assert (code, out) == (2, "") and message in error and error.count("\n") == 1
    code, out, error = run(*command, "--precision", "half")
    assert (code, out) == (2, "") and "must be one of fp32, tf32, bf16, not 'half'" in error


def test_a_trained_model_writes_and_is_measured_in_any(cupy, run, monkeypatch):
    assert run("train", *TRAIN, "--out-dir=run", "--quiet") == (0, "", "")
    losses = {}
    for name in precision.PRECISIONS:
        options = "--backend=cupy", f"--precision={name}"
        code, out, _ = run("eval", "run", *options)
        assert code == 0
        losses[name] = float(out.partition("loss")[2].split()[0])
        for command in (["generate", "run", "--prompt=the", "--max-new-tokens=8"],
                        ["generate", "run", "--prompt=the", "--max-new-tokens=4", "--num-beams=2"]):  # fmt: skip
            code, out, error = run(*command, *options)
            assert code == 0 and out.startswith("the") and not error
    assert losses["tf32"] == pytest.approx(losses["fp32"], rel=2e-3)
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=2e-2)


def test_a_run_in_bfloat16_keeps_float32_weights_and_goes_on(cupy, run):
    """What is saved is what the optimizer moves, to the last bit; nothing of it is a bfloat16 number by rule."""
    options = [*TRAIN, "--out-dir=run", "--backend=cupy", "--precision=bf16", "--learning-rate=1e-2"]
    code, out, error = run("train", *options)
    assert code == 0 and "cupy bf16" in out and not error, error
    state, model = load_file("run/training_state.safetensors"), load_file("run/model.safetensors")
    for name, array in model.items():
        assert array.dtype == np.float32 and np.array_equal(array, state[f"parameter.{name}"])
        rounded = array.astype(ml_dtypes.bfloat16).astype(np.float32)
        assert np.allclose(array, rounded, rtol=2**-8) and not np.array_equal(array, rounded), name
    code, out, _ = run("train", "--resume=run", "--max-iters=8")
    assert code == 0 and "cupy bf16" in out and "step      8 of 8" in out
    code, out, error = run("train", "--resume=run", "--max-iters=9", "--backend=numpy")
    assert (code, out) == (2, "") and "--precision bf16 needs a GPU" in error
    code, out, _ = run("train", "--resume=run", "--max-iters=9", "--backend=numpy", "--precision=fp32")
    assert code == 0 and "numpy float32" in out and "step      9 of 9" in out


def test_float64_weights_are_no_less_precise(cupy, run):
    assert run("train", *TRAIN, "--out-dir=run", "--quiet", "--dtype=float64") == (0, "", "")
    code, out, error = run("generate", "run", "--backend=cupy", "--precision=bf16")
    assert (code, out) == (2, "") and "--precision bf16 is less than --dtype float64 asks for" in error
