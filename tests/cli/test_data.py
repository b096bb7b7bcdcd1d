"""`tinyllm data prepare`, `stats` and `train-tokenizer`, and a training with what they make."""

import json
import shutil

import pytest

from tests.cli.test_commands import tinyllm
from tinyllm.cli import main
from tinyllm.tokenizers import BPETokenizer, CharTokenizer, load

POEM = "水调歌头。明月几时有？把酒问青天。\n不知天上宫阙，今夕是何年。\n"
TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 30 + POEM * 12
TINY = ["--n-layer=1", "--n-head=2", "--n-embd=8", "--block-size=8", "--batch-size=4", "--max-iters=4",
        "--eval-interval=2"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, a tokenizer trained on it, the text prepared with that, and a run."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    for command in (
        ["data", "train-tokenizer", "text.txt", "--out-dir=bpe", "--vocab-size=300"],
        ["data", "prepare", "text.txt", "--out-dir=ids", "--tokenizer=bpe"],
        ["train", "--data=ids", "--out-dir=run", "--quiet", *TINY],
    ):
        result = tinyllm(*command, cwd=folder)
        assert result.returncode == 0 and result.stderr == "", result.stderr
        if command[1] == "train-tokenizer":
            assert "of 300 tokens, pattern gpt4, special <|endoftext|>" in result.stdout
        if command[1] == "prepare":
            assert "uint16" in result.stdout and "next: tinyllm train --data ids" in result.stdout
    return folder


def test_the_run_carries_its_tokenizer(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "alone")
    assert load(tmp_path / "alone").to_json() == load(folder / "bpe").to_json()
    result = tinyllm("generate", "alone", "--prompt=明月", "--max-new-tokens=20", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith("明月"), result.stderr


def test_it_is_measured_and_goes_on(folder):
    own = tinyllm("eval", "run", "--json", cwd=folder)
    whole = tinyllm("eval", "run", "--data=ids", "--json", cwd=folder)
    text = tinyllm("eval", "run", "--data=text.txt", "--json", cwd=folder)
    assert json.loads(whole.stdout)["tokens"] == json.loads(text.stdout)["tokens"] + 1, "<|endoftext|>"
    assert json.loads(own.stdout)["tokens"] < json.loads(whole.stdout)["tokens"]
    assert "300 tokens of bytes (BPE)" in tinyllm("info", "run", cwd=folder).stdout
    result = tinyllm("train", "--resume=run", "--max-iters=6", "--quiet", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_text_with_a_saved_tokenizer_and_a_resume_without_it(folder, tmp_path):
    shutil.copytree(folder / "bpe", tmp_path / "bpe")
    shutil.copy(folder / "text.txt", tmp_path)
    arguments = ["train", "--data=text.txt", "--tokenizer=bpe", "--out-dir=run", "--quiet"]
    assert tinyllm(*arguments, *TINY, cwd=tmp_path).returncode == 0
    assert isinstance(load(tmp_path / "run"), BPETokenizer)
    shutil.rmtree(tmp_path / "bpe")
    result = tinyllm("train", "--resume=run", "--max-iters=6", "--quiet", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), "the run has its own"


def test_stats(folder):
    result = tinyllm("data", "stats", "text.txt", "--tokenizer=char", "--tokenizer=bpe", cwd=folder)
    lines = result.stdout.splitlines()
    n = len(TEXT)
    assert lines[0] == f"{n:,} characters, {len(TEXT.encode()):,} bytes"
    assert lines[3].split()[:2] == ["char", str(len(set(TEXT)))] and f"{n:,}" in lines[3]
    assert lines[4].split()[:2] == ["bpe", "300"]
    assert "bpe: longest '" in result.stdout and "rarest" in result.stdout
    assert "tokens      " in tinyllm("data", "stats", "ids", cwd=folder).stdout


@pytest.mark.parametrize(
    "line, message",
    [
        ("data prepare --out-dir new", "parameter TEXT requires an argument"),
        ("data prepare nope.txt --out-dir new", "nope.txt: no such file"),
        ("data prepare text.txt --out-dir new --tokenizer gpt5", "there is no tokenizer 'gpt5'; choose char, gpt2"),
        ("data prepare text.txt --out-dir new --vocab x.bpe", "--vocab is the file of a vocabulary that --tokenizer"),
        ("data prepare text.txt --out-dir new --tokenizer gpt2 --vocab x.bpe", "x.bpe: no such file"),
        ("data prepare text.txt --out-dir run", "run is there, and no prepared corpus"),
        ("data prepare text.txt --out-dir new --val-fraction 2", "--val-fraction must be between 0 and 1"),
        ("data prepare bad.txt --out-dir new", "bad.txt is not UTF-8 text: byte 0xff at offset 2"),
        ("data train-tokenizer text.txt --out-dir new --vocab-size 9", "vocab_size 9 is too small"),
        ("data train-tokenizer text.txt --out-dir new --pattern gpt3", "there is no pattern 'gpt3'"),
        ("data train-tokenizer text.txt --out-dir run", "run holds a model or a corpus"),
        ("data stats ids --tokenizer char", "leave --tokenizer out"),
        ("train --data ids --tokenizer gpt2", "ids was prepared with its tokenizer; leave --tokenizer"),
        ("train --data ids --data text.txt", "ids is a prepared corpus; it is the only --data then"),
        ("eval other --data ids", "ids was prepared with another tokenizer (300 tokens) than the model's"),
    ],
)
def test_mistakes(folder, monkeypatch, capsys, line, message):
    (folder / "bad.txt").write_bytes(b"ab\xff")
    if line.startswith("eval") and not (folder / "other").exists():
        shutil.copytree(folder / "run", folder / "other")
        CharTokenizer("".join(map(chr, range(0x4E00, 0x4E00 + 300)))).save(folder / "other")
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as left:
        main(line.split())
    err = capsys.readouterr().err
    assert left.value.code == 2 and message in err and err.count("\n") == 1, err
    assert not (folder / "new").exists()
