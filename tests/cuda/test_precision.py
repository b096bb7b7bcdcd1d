"""--precision: what it means, where it can be said, and what is told where it cannot."""

import pytest

from tinyllm import precision
from tinyllm.cli.app import main
from tinyllm.finetune.config import TuneConfig
from tinyllm.models.sizes import training_memory
from tinyllm.training.config import TrainConfig, read_toml

TRAIN = ("--data=cats.txt --n-layer=1 --n-head=1 --n-embd=8 --block-size=8 --batch-size=2 --max-iters=6 "
         "--eval-interval=3 --warmup-iters=1").split()  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder with a text: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    (tmp_path / "cats.txt").write_text("the cat sat on the mat\n" * 20)

    def run(*arguments):
        code = 0
        try:
            main(arguments)
        except SystemExit as error:
            code = error.code or 0
        return code, *capsys.readouterr()

    return run


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


def test_a_configuration_comes_back_from_its_file(tmp_path):
    config = TrainConfig(precision="bf16", backend="cupy")
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert TrainConfig(**read_toml(tmp_path / "config.toml")) == config


def test_bfloat16_takes_less_memory_but_for_the_optimizer():
    from tinyllm import GPTConfig

    small, large = GPTConfig(n_layer=2, block_size=256, n_embd=64), GPTConfig(n_layer=2, block_size=8, n_embd=512)
    assert 0.5 < training_memory(small, 64, rounded=True) / training_memory(small, 64) < 0.52, "activations are most"
    assert 1 < training_memory(large, 1, rounded=True) / training_memory(large, 1) < 1.2, "parameters are most"


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


def test_float64_weights_are_no_less_precise(cupy, run):
    assert run("train", *TRAIN, "--out-dir=run", "--quiet", "--dtype=float64") == (0, "", "")
    code, out, error = run("generate", "run", "--backend=cupy", "--precision=bf16")
    assert (code, out) == (2, "") and "--precision bf16 is less than --dtype float64 asks for" in error
