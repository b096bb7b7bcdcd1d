"""`tinyllm train --debug nan`: one message that names the op, and the page of how it came about."""

import json
import re
import tempfile
import webbrowser
from pathlib import Path

import pytest

from tinyllm.cli import main

SIZES = "--n-layer=1 --n-head=2 --n-embd=8 --block-size=8 --batch-size=2 --max-iters=6 --eval-interval=6 " \
        "--warmup-iters=0".split()  # fmt: skip


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Run the command in a folder with a text: (exit code, standard output, standard error, what was opened)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    Path("cats.txt").write_text("the cat sat on the mat. " * 20, encoding="utf-8")

    def run(*flags, folder="run"):
        code = 0
        try:
            main(["train", "--data=cats.txt", f"--out-dir={folder}", *SIZES, *flags])
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err, opened

    return run


def test_a_training_that_overflows_is_stopped_at_the_op_and_has_a_page(train):
    code, out, err, opened = train("--debug=nan", "--learning-rate=1e30", "--quiet")
    assert (code, out, opened) == (2, "", [])
    assert re.match(r"tinyllm: first not finite: the \w+ [\w.]+, (from|which) \w+ ", err) and "Traceback" not in err
    page = Path(re.search(r"^step through it: (.+)$", err, re.MULTILINE)[1])
    assert '"focus":{"step":' in page.read_text(encoding="utf-8")


def test_somebody_at_the_terminal_gets_the_page_opened(train, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, _, err, opened = train("--debug=nan", "--learning-rate=1e30", "--quiet")
    path = re.search(r"^step through it: (.+)$", err, re.MULTILINE)[1]
    assert code == 2 and opened == [Path(path).as_uri()]


def test_a_page_that_would_be_too_large_is_said_to_be(train, monkeypatch):
    monkeypatch.setattr("tinyllm.tracing.page.LARGEST", 1000)
    code, _, err, _ = train("--debug=nan", "--learning-rate=1e30", "--quiet")
    assert code == 2 and "there is nothing to step through: the page would have" in err


def test_a_training_that_goes_well_is_the_same_with_it(train):
    def losses(folder):
        lines = Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return {entry["step"]: entry["loss"] for entry in map(json.loads, lines)}

    assert train("--debug=nan", "--json")[0] == train("--json", folder="other")[0] == 0
    assert losses("run") == pytest.approx(losses("other"), rel=1e-5), "an observer hears the plain ops: kernels round"
    assert list(losses("run")) == [1, 2, 3, 4, 5, 6]
