"""`tinyllm finetune instruct`, `reward`, `dpo` and `ppo` as they are typed, and what is said of mistakes."""

import json

import pytest

from tinyllm.cli import main
from tinyllm.tokenizers import BPETokenizer
from tinyllm.training.run import load_run

SMALL = ("--max-iters", 4, "--eval-interval", 2, "--batch-size", 4, "--workers", 1)
ROWS = [{"instruction": f"Say {word}", "output": word} for word in "abcdefghij"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def tuned(folder):
    (folder / "rows.json").write_text(json.dumps(ROWS))
    with pytest.raises(SystemExit) as left:
        main(["finetune", "instruct", "--data", str(folder / "rows.json"), "--out-dir", str(folder / "tuned"),
              *map(str, SMALL), "--n-layer", "1", "--n-embd", "8", "--block-size", "60", "--quiet"])  # fmt: skip
    assert not left.value.code
    return folder / "tuned"


def tinyllm(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert (left.value.code or 0) == code, said
    assert "Traceback" not in said.err
    return said


def test_instruct_tells_before_and_after(tuned, folder, capsys):
    out = tinyllm(capsys, "finetune", "instruct", "--data", folder / "rows.json", "--model", tuned, "--out-dir",
                  folder / "more", *SMALL).out  # fmt: skip
    assert out.startswith("before:") and "what it answers now:" in out and "[expected: " in out
    assert "9 conversations to learn from · 1 held out" in out
    assert f"next: tinyllm chat {folder / 'more'}" in out
    assert (folder / "more/samples.txt").read_text().count("[expected: ") == 2


def test_chat_talks_with_the_template_of_the_model(tuned, capsys, monkeypatch):
    asked = iter(["Say a"])

    def typed(prompt=""):
        try:
            return next(asked)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    assert tinyllm(capsys, "chat", tuned, "--max-new-tokens", 4).out.startswith("Assistant:")


@pytest.mark.parametrize("method", ["reward", "dpo", "ppo"])
def test_each_method_trains_and_goes_on(tuned, folder, capsys, method):
    more = ("--rollout", 4, "--max-new-tokens", 4) if method == "ppo" else ()
    run = folder / method
    out = tinyllm(capsys, "finetune", method, "--model", tuned, "--out-dir", run, *SMALL, *more).out
    assert "held out" in out and "next: tinyllm" in out
    out = tinyllm(capsys, "finetune", method, "--resume", run, "--max-iters", 6, "--json").out
    assert [json.loads(line)["step"] for line in out.splitlines()] == [5, 6]


@pytest.mark.parametrize("method", ["instruct", "reward", "dpo", "ppo"])
def test_dry_run_says_what_it_would_take(tuned, capsys, method):
    out = tinyllm(capsys, "finetune", method, "--model", tuned, "--dry-run").out
    assert "# parameters" in out and "# memory" in out and "learning_rate = " in out


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("instruct", ("--template", "alpacka"), "there is no template 'alpacka'; choose alpaca, chat, chatml"),
        ("instruct", ("--data", "no.json"), "no.json: no such file"),
        ("instruct", ("--val-fraction", 1), "--val-fraction must be between 0 and 1"),
        ("instruct", ("--preset", "gpt3"), "there is no preset 'gpt3'; choose one of gpt2-alpaca"),
        ("dpo", ("--beta", 0), "--beta must be more than 0"),
        ("ppo", ("--reward", "sortd"), "there is no reward 'sortd'; choose sorted, ascending, positive"),
        ("ppo", ("--rollout", 10), "--rollout must be a multiple of the 16 answers"),
        ("ppo", ("--max-new-tokens", 59), "leave no room for an answer"),
        ("ppo", ("--quiet", "--json"), "--dry-run, --quiet and --json each say what to print"),
    ],
)
def test_mistakes(tuned, folder, capsys, method, more, message):
    err = tinyllm(capsys, "finetune", method, "--model", tuned, "--out-dir", folder / "none", *more, code=2).err
    assert message in err


def test_a_model_is_needed(folder, capsys):
    for method in ("reward", "dpo", "ppo"):
        err = tinyllm(capsys, "finetune", method, "--out-dir", folder / "none", code=2).err
        assert "there is no model to start from; give --model" in err


def test_a_new_model_has_the_tokenizer_that_is_named(folder, capsys):
    BPETokenizer.train("Say a. User: Assistant:", 270, "gpt4").save(folder / "bytes")
    rows = [*ROWS, {"instruction": "Say é", "output": "é"}]
    (folder / "more.json").write_text(json.dumps(rows))
    small = (*SMALL, "--n-layer", 1, "--n-embd", 8, "--block-size", 60)
    tinyllm(capsys, "finetune", "instruct", "--data", folder / "more.json", "--tokenizer", folder / "bytes",
            "--out-dir", folder / "bpe", *small, "--quiet")  # fmt: skip
    assert load_run(folder / "bpe")[1].encode("é").tolist() == list("é".encode())
    none = ("--out-dir", folder / "none")
    for more, message in (
        (("--model", folder / "bpe", "--tokenizer", "gpt2"), "has a tokenizer of its own; leave --tokenizer and"),
        (("--tokenizer", "gpt3"), "there is no tokenizer 'gpt3'; choose char, gpt2"),
        (("--tune", "lora"), "--tune lora adapts a model that is there; name it with --model"),
        (("--data", "a.json", "--data", "b.json"), "--data specified multiple times"),
    ):
        assert message in tinyllm(capsys, "finetune", "instruct", *more, *none, code=2).err


def test_a_bad_row_is_named(folder, capsys):
    (folder / "bad.json").write_text(json.dumps([*ROWS, {"instruction": "q", "output": ""}]))
    none = ("--out-dir", folder / "none")
    err = tinyllm(capsys, "finetune", "instruct", "--data", folder / "bad.json", *none, code=2).err
    assert "bad.json, row 11: output is empty" in err
    (folder / "equal.json").write_text(json.dumps([{"prompt": "q", "chosen": "a", "rejected": "a"}] * 2))
    err = tinyllm(capsys, "finetune", "dpo", "--data", folder / "equal.json", *none, code=2).err
    assert "equal.json, row 1: chosen and rejected are equal" in err


def test_a_reward_that_fails_ends_with_its_row(tuned, folder, capsys):
    (folder / "mine.py").write_text("def f(question, answer):\n    return float('nan')\n")
    err = tinyllm(capsys, "finetune", "ppo", "--model", tuned, "--reward", f"{folder}/mine.py:f", "--out-dir",
                  folder / "nan", *SMALL, "--rollout", 4, "--max-new-tokens", 4, code=2).err  # fmt: skip
    assert "is nan; it must be a finite number" in err and "of word " in err
