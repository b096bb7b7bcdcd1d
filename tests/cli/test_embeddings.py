"""`tinyllm train-embeddings`, and what `tinyllm info` shows of vectors."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.models.test_word2vec import sentences
from tinyllm.cli import main

SMALL = "--n-embd=16 --epochs=3 --learning-rate=0.02 --batch-size=64 --subsample=1"


def tinyllm(line):
    """The exit code of a command line, and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(shlex.split(line))
    return left.value.code, out.getvalue(), err.getvalue()


def said(line):
    code, out, err = tinyllm(line)
    assert (code, err) == (0, "")
    return out


def complaint(line):
    code, out, err = tinyllm(line)
    assert (code, out) == (2, "") and err.startswith("tinyllm: ") and len(err.splitlines()) <= 3
    return err


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    """A folder with a text and the vectors of its words."""
    folder = tmp_path_factory.mktemp("embeddings")
    with contextlib.chdir(folder):
        Path("trips.txt").write_text(sentences(200), encoding="utf-8")
        code, out, err = tinyllm(f"train-embeddings --data trips.txt --out-dir words {SMALL}")
        assert code == 0 and "loss" in err, "the bar"
        assert "22 that occur 5 times or more" in out and "next: tinyllm info words --near " in out
        yield folder


def test_the_folder_tells_what_it_holds():
    content = json.loads(Path("words/word2vec.json").read_text(encoding="utf-8"))
    assert content["words"]["people"] == 200 and content["config"]["n_embd"] == 16
    out = said("info words")
    assert re.search(r"words +22, from .* \(\d+ times\)", out) and re.search(r"text +trips.txt, 3 times", out)


def test_neighbours():
    line = said("info words --near goat --top 3")
    assert re.fullmatch(r"goat( +(cow|hare|mole) \d\.\d\d){3}\n", line)
    assert len(said("info words --near goat --near peru --similarity dot").splitlines()) == 2
    assert len(said("info words --embeddings --top 2").splitlines()) == 12


def test_an_analogy():
    out = said("info words --analogy 'goat - cow + peru' --top 2")
    assert out.startswith("goat - cow + peru   ") and set(re.findall("[a-z]+", out[20:])) <= {"chad", "iran", "cuba"}


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for flags in ("--near goat", "--embeddings", "--analogy 'goat - cow + peru'"):
        picture = tmp_path / "map.png"
        assert said(f"info words {flags} --plot {picture}").endswith(f"the picture is {picture}\n")
        assert picture.read_bytes().startswith(b"\x89PNG")
        picture.unlink()


def test_the_vectors_of_a_gpt():
    tinyllm("train --data trips.txt --out-dir gpt --n-layer=1 --n-head=2 --n-embd=8 --block-size=8 --batch-size=4 "
            "--max-iters=2 --eval-interval=2 --quiet")  # fmt: skip
    assert re.fullmatch(r"a( +\S+ -?\d\.\d\d){4}\n", said("info gpt --near a --top 4"))
    assert r"'\n'" in said("info gpt --embeddings")


@pytest.mark.parametrize(("line", "message"), [
    ("info words --near goats", "'goats' is none of the 22 tokens of this model; did you mean 'goat'?"),
    ("info words --near=", "--near is empty"),
    ("info words --analogy goat-cow", "as 'king - man + woman', not 'goat-cow'"),
    ("info words --near goat --similarity l2", "similarity must be cosine or dot, not 'l2'"),
    ("info words --near goat --top 0", "--top must be 1 or more, not 0"),
    ("info words --near goat --plot nowhere/map.png", "nowhere: no such folder"),
    ("info nowhere --embeddings", "nowhere is not the folder of a run"),
    ("generate words", "words"),
    ("train-embeddings --data trips.txt --out-dir words", "words holds a model (model.safetensors); name another"),
    ("train --data trips.txt --out-dir words", "words holds a model (model.safetensors); name another"),
    ("train-embeddings --data trips.txt --out-dir trips.txt", "trips.txt is a file"),
    ("train-embeddings --data nowhere.txt", "nowhere.txt: no such file"),
    ("train-embeddings --data trips.txt --out-dir new --min-count 1000", "0 of the 3,200 words of the text occur 1000"),
    *((f"train-embeddings --{flag} 0", f"--{flag} must be ")
      for flag in ("window", "negatives", "epochs", "n-embd", "min-count", "batch-size", "subsample", "learning-rate")),
    ("train-embeddings --seed=-1", "--seed must be 0 or more, not -1"),
    ("train-embeddings --window 2.5", "--window must be a whole number, not 2.5"),
], ids=lambda value: value if " " in value else None)  # fmt: skip
def test_mistakes(line, message):
    before = sorted(Path().rglob("*"))
    assert message in complaint(line)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("change", ["", "{}", "[]", '{"words": {"a": 1}, "config": {}}', "{"], ids=repr)
def test_a_folder_that_was_changed(tmp_path, change):
    for name in ("word2vec.json", "model.safetensors"):
        (tmp_path / name).write_bytes(Path("words", name).read_bytes())
    (tmp_path / "word2vec.json").write_text(change)
    assert str(tmp_path) in complaint(f"info {tmp_path} --embeddings")


def test_quiet_prints_nothing():
    line = "train-embeddings --data trips.txt --out-dir quiet --epochs 1 --n-embd 4 --subsample 1 --quiet"
    assert tinyllm(line) == (0, "", "")
