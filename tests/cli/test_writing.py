"""generate, chat and attention as they are typed, all in this process."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tinyllm.cli import main
from tinyllm.generation import Rules, beam_search
from tinyllm.training.run import load_run

TEXT = "User: hi\nAssistant: the cat sat on the mat.\n" * 40
SIZES = "--n-layer=1 --n-head=2 --n-embd=16 --block-size=16 --batch-size=8 --max-iters=30 --eval-interval=30"


def tinyllm(line, typed=""):
    """The exit code of a command line, and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(typed))
            main(shlex.split(line))
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing")
    with contextlib.chdir(folder):
        Path("chat.txt").write_text(TEXT, encoding="utf-8")
        assert tinyllm(f"train --data=chat.txt --out-dir=run {SIZES} --quiet") == (0, "", "")
    return folder


@pytest.fixture(autouse=True)
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)


def written(line):
    code, out, err = tinyllm(f"generate run --prompt=the {line}")
    assert (code, err) == (0, ""), err
    return out


# generate


def test_it_writes_what_the_model_generates():
    model, tokenizer = load_run("run")
    options = {"temperature": 0.9, "top_k": 9, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.2, "seed": 3}
    flags = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in options.items())
    ids = model.generate(tokenizer.encode("the"), 40, **options)
    assert written(f"--max-new-tokens=40 {flags}") == tokenizer.decode(ids) + "\n"


def test_several_samples_are_the_rows_of_one_batch():
    model, tokenizer = load_run("run")
    rows = model.generate(tokenizer.encode("the"), 9, num_samples=2, temperature=0.8, top_k=40, top_p=0.95)
    expected = "".join(f"--- {n} of 2\n{tokenizer.decode(row)}\n" for n, row in enumerate(rows.data, 1))
    assert written("--max-new-tokens=9 --num-samples=2") == expected


def test_it_ends_before_a_stop_string():
    whole = written("--max-new-tokens=60")
    stop = re.search(r"[^\n]{2}", whole[10:])[0]
    cut = written(f"--max-new-tokens=60 --stop never --stop {shlex.quote(stop)}")
    assert cut == whole[: whole.index(stop, 3)] + "\n"
    two = written(f"--max-new-tokens=60 --num-samples=2 --stop {shlex.quote(stop)}")
    assert two.count(f"{stop}") == 0


def test_beams_write_the_likeliest_text_they_find():
    model, tokenizer = load_run("run")
    (_, ids), *_ = beam_search(model, tokenizer.encode("the"), 12, 3)
    assert written("--max-new-tokens=12 --num-beams=3 --seed=1") == tokenizer.decode(ids) + "\n"


def test_explain_shows_the_candidates_before_and_after_each_rule():
    text = written("--max-new-tokens=2 --seed=1")
    out = written("--max-new-tokens=2 --seed=1 --explain")
    assert out.endswith(f"\n{text}") and out.count("log-probability") == 2
    model, tokenizer = load_run("run")
    logits = model.eval()(tokenizer.encode("the")[None]).data[0, -1].astype(np.float64)
    stages = Rules(temperature=0.8, top_k=40, top_p=0.95).explain(logits, tokenizer.encode("the"))
    first = out.split("\n\n")[0]
    assert "temperature" in first and "top_k" in first and "top_p" in first and "min_p" not in first
    token = int(logits.argmax())
    [line] = [line for line in first.splitlines() if line.startswith(repr(tokenizer.decode([token])))]
    numbers = [f"{stage.probabilities[token]:.4f}" for stage in stages]
    assert line.split("'")[-1].split() == numbers
    cut = stages[-1].cut
    assert re.search(rf"tokens cut here +{len(cut)}\n", first + "\n")
    assert re.search(rf"which had +{stages[-2].probabilities[cut].sum():.4f}", first)


@pytest.mark.filterwarnings("always")
def test_a_long_prompt_is_warned_about_in_one_line():
    code, out, err = tinyllm("generate run --prompt='the cat sat on the mat.' --max-new-tokens=3")
    assert code == 0 and out.startswith("the cat sat on the mat.")
    assert err == "tinyllm: the prompt has 23 tokens; the model sees the last 16 of them (its block_size)\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("generate run --num-beams=2 --explain", "--num-beams searches for one text; leave --num-samples"),
        ("generate run --explain --num-samples=2", "--explain explains one text; leave --num-samples out"),
        ("generate run --num-samples=0", "--num-samples and --num-beams must be 1 or more, not 0"),
        ("generate run --stop=", "a stop string is empty"),
        ("generate run --min-p=2", "min_p must be from 0 to 1, not 2.0"),
        ("generate run --repetition-penalty=0", "repetition_penalty must be a positive number"),
        ("chat run --max-new-tokens=-1", "max_new_tokens must be 0 or more, not -1"),
        ("chat nothing", "nothing is not the folder of a run"),
        ("attention ''", "TEXT is empty; give what the model is to read"),
        ("attention cat --best", "--best is for the weights of a run; give it with --run"),
        ("attention 'the cat sat on the mat.' --run run", "TEXT has 23 tokens; the model sees 16 at once"),
        ("attention Ω --run run", "'Ω' (U+03A9) at position 0 is not in the vocabulary"),
    ],
)
def test_mistakes_get_one_message(line, message):
    code, out, err = tinyllm(line, typed="hi\n")
    assert code == 2 and err.startswith("tinyllm: ") and message in err and len(err.splitlines()) <= 2
    assert out == ""


# chat


def test_a_conversation_is_a_transcript_that_the_model_continues():
    code, out, err = tinyllm("chat run --max-new-tokens=30", typed="hi\n\n  the cat  \n")
    assert (code, err) == (0, "") and out.count("Assistant:") >= 2 and "\nUser:" not in out
    assert out == tinyllm("chat run --max-new-tokens=30", typed="hi\nthe cat\n")[1]
    model, tokenizer = load_run("run")
    ids = tokenizer.encode("User: hi\nAssistant:")[-8:]
    text = tokenizer.decode(model.generate(ids, 30, temperature=0.8, top_k=40, top_p=0.95).data[8:])
    assert out.startswith(f"Assistant:{text.split(chr(10) + 'User:')[0]}\n")


def test_a_character_it_does_not_know_is_said_and_the_conversation_goes_on():
    code, out, err = tinyllm("chat run --max-new-tokens=5", typed="Ω\nhi\n")
    assert code == 0 and "'Ω' (U+03A9) at position 0" in err and out.count("Assistant:") == 1


# attention


def test_attention_writes_a_picture(tmp_path):
    code, out, err = tinyllm(f"attention 'the cat' --run run --out {tmp_path}/a.png")
    assert (code, out, err) == (0, f"the picture is {tmp_path}/a.png\n", "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert tinyllm(f"attention cat --out {tmp_path}/b.png")[0] == 0 and (tmp_path / "b.png").is_file()
