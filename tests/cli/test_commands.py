"""The command line as it is typed: what it prints, where, and its exit code."""

import subprocess
import sys

import pytest

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 40
TINY = ["--n-layer=1", "--n-head=2", "--n-embd=8", "--block-size=8", "--batch-size=4", "--max-iters=6",
        "--eval-interval=3"]  # fmt: skip


def tinyllm(*arguments, cwd):
    command = [sys.executable, "-W", "error", "-m", "tinyllm", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cats.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    result = tinyllm("train", "--data", "cats.txt", *TINY, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result


def test_train_shows_progress_and_ends_with_a_sample(trained, folder):
    assert "step      6 of 6" in trained.stdout and trained.stdout.count("   validation loss") == 2
    assert "what it writes now:\n\nthe cat " in trained.stdout, "the prompt is the beginning of the text"
    assert "next: tinyllm generate runs/cats" in trained.stdout.replace("\\", "/")
    assert trained.stderr == ""
    assert {p.name for p in (folder / "runs/cats").iterdir()} - {".lock"} == {
        "config.json", "config.toml", "model.safetensors", "best.safetensors", "tokenizer.json", "metrics.jsonl",
        "training_state.safetensors", "training_state.json", "environment.json", "samples.txt", "loss.png"}  # fmt: skip


def test_generate_is_reproducible_and_temperature_0_is_greedy(trained, folder):
    def text(*flags):
        result = tinyllm("generate", "runs/cats", "--prompt", "the", "--max-new-tokens", "20", *flags, cwd=folder)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert text("--seed", "1") == text("--seed", "1") != text("--seed", "2")
    greedy = text("--temperature", "0", "--seed", "1")
    assert greedy == text("--temperature", "0", "--seed", "2", "--top-k", "3")
    assert greedy.startswith("the") and len(greedy) == 3 + 20 + 1


def test_a_preset_and_flags_that_win_over_it(folder):
    tiny = [flag for flag in TINY if flag != "--n-head=2"] + ["--warmup-iters=1"]
    result = tinyllm("train", "--preset", "shakespeare-char-cpu", "--data", "cats.txt", *tiny, cwd=folder)
    assert result.returncode == 0, result.stderr
    config = (folder / "runs/shakespeare-char-cpu/config.toml").read_text()
    assert "n_head = 4" in config and "max_iters = 6" in config and "beta2 = 0.99" in config


MISTAKES = {
    "an unknown command": (["trian"], 'Did you mean "train"?'),
    "an unknown flag": (["train", "--n-layr", "2"], "Did you mean --n-layer?"),
    "no number": (["train", "--n-layer", "two"], "--n-layer must be a whole number, not two"),
    "an unknown preset": (["train", "--preset", "hamlet"], "no preset 'hamlet'; choose one of shakespeare-char, "),
    "no such file": (["train", "--data", "dogs.txt"], "dogs.txt: no such file"),
    "an empty file": (["train", "--data", "empty.txt"], "empty.txt is empty"),
    "not text": (["train", "--data", "latin.txt"], "latin.txt is not UTF-8 text: byte 0xe9 at offset 3"),
    "too short": (["train", "--data", "short.txt"], "too few for a window of --block-size 64"),
    "heads that do not divide": (["train", "--data=cats.txt", "--n-head=3", "--out-dir=x"], "choose 126 or 129"),
    "a rate that diverges": (["train", "--data=cats.txt", *TINY, "--learning-rate=1e30", "--out-dir=y"], "diverged"),
    "zero layers": (["train", "--n-layer", "0"], "--n-layer must be 1 or more, not 0"),
    "a folder that is taken": (["train", "--data", "cats.txt", *TINY], "tinyllm train --resume runs/cats"),
    "no run": (["generate", "runs/dogs"], "is not the folder of a run"),
    "an unknown character": (["generate", "runs/cats", "--prompt", "thé"], "'é' (U+00E9) at position 2"),
    "a negative temperature": (["generate", "runs/cats", "--temperature=-1"], "temperature must be 0 (greedy) or a"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_get_one_clear_message(arguments, message, trained, folder):
    (folder / "empty.txt").write_bytes(b"")
    (folder / "latin.txt").write_bytes("café".encode("latin-1"))
    (folder / "short.txt").write_text("hello")
    result = tinyllm(*arguments, cwd=folder)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 3


def test_help_loads_no_numpy(folder):
    code = "import sys; from tinyllm.cli import main; main(['train', '--help']); assert 'numpy' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--learning-rate" in result.stdout


def test_a_python_without_its_manual_names_the_flag(folder):
    code = "import sys; sys.modules['pydoc_data'] = None; from tinyllm.cli import main; main(['train'])"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 2 and "--data" in result.stderr and len(result.stderr.splitlines()) == 1
