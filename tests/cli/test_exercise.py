"""`tinyllm exercise`: the list, the file, the grades, the exit code, and the page of what is wrong."""

import re
import tempfile
import webbrowser
from pathlib import Path

import pytest

from tinyllm.checking import tinyllm_ops
from tinyllm.cli import main

STUB = '    raise NotImplementedError("write the backward")\n'


@pytest.fixture
def exercise(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(*arguments):
        code = 0
        try:
            main(["exercise", *arguments])
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def attempt(exercise, tmp_path):
    """Write the file of an exercise, put these lines in the place of the stub, and have it graded."""

    def run(op, body):
        assert exercise(op, "--force")[0] == 0
        path = tmp_path / f"exercise_{op}.py"
        text = path.read_text(encoding="utf-8")
        assert text.count(STUB) == 1
        path.write_text(text.replace(STUB, "".join(f"    {line}\n" for line in body.splitlines())), encoding="utf-8")
        return exercise("--check", path.name)

    return run


def test_without_an_op_all_are_listed(exercise):
    code, out, _ = exercise()
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert code == 0 and sorted(listed) == sorted(tinyllm_ops())
    assert out.startswith("one number in, one number out\n") and out.endswith("next: tinyllm exercise negative\n")


def test_a_file_is_written_once_and_overwritten_by_force_alone(exercise, tmp_path):
    code, out, _ = exercise("exp")
    assert code == 0 and out.endswith("tinyllm exercise --check exercise_exp.py\n")
    path = tmp_path / "exercise_exp.py"
    text = path.read_text(encoding="utf-8")
    assert "tinyllm exercise --check exercise_exp.py" in text and STUB in text
    path.write_text("solved", encoding="utf-8")
    code, _, err = exercise("exp")
    assert code == 2 and "--force overwrites it, --out writes another file" in err
    assert path.read_text(encoding="utf-8") == "solved"
    assert exercise("exp", "--force")[0] == 0 and path.read_text(encoding="utf-8") == text
    assert exercise("exp", "--out", "other.py")[0] == 0
    assert (tmp_path / "other.py").read_text(encoding="utf-8") == text.replace(path.name, "other.py")


def test_right(attempt):
    code, out, err = attempt("exp", "dx = dy * y\nreturn dx")
    assert (code, err) == (0, "")
    assert out == "exp: right (12 examples, in float64 and float32)\n  dx   exact   bit for bit tinyllm's\n"


def test_close(attempt):
    code, out, _ = attempt("exp", "return dy * 3 * y / 3")
    assert code == 0 and "  dx   close   within rounding of tinyllm's, largest error " in out


def test_wrong(attempt):
    code, out, _ = attempt("subtract", "return unbroadcast(dy, a_shape), unbroadcast(dy, b_shape)")
    assert code == 1
    assert out.startswith("subtract: not right yet") and "  da   exact   bit for bit tinyllm's\n" in out
    assert "  db   wrong   largest error " in out
    assert "\n               first wrong entry: db[0] = " in out
    assert "\n               hint: the sign is wrong, everywhere\n" in out


def test_an_exception_shows_the_users_line_alone(attempt):
    code, out, err = attempt("exp", "z = 1 / 0\nreturn dy")
    assert (code, err) == (1, "")
    assert out.splitlines()[1:4] == [
        "  fails on 12 of 12 examples; first:",
        "  exercise_exp.py, line 29, in exp_backward: ZeroDivisionError: division by zero",
        "      z = 1 / 0",
    ]


def test_what_the_file_prints_does_not_mix_with_the_grade(attempt):
    code, out, err = attempt("exp", "print(dy)\nreturn dy * y")
    assert code == 0 and out.count("\n") == 2 and err


WRONG = {  # op: (a backward, its first wrong gradient)
    "exp": ("dx = dy * y\nreturn dx * dx", "dx"),
    "subtract": ("return unbroadcast(dy, a_shape), unbroadcast(dy, b_shape)", "db"),
    "softmax": ("return p * dy", "dx"),
    "layer_norm": ("axes = tuple(range(dy.ndim - 1))\nreturn dy * rstd, dy.sum(axis=axes), dy.sum(axis=axes)", "dx"),
}


def path_in(out):
    return Path(re.search(r"^step through it: (.+)$", out, re.MULTILINE)[1])


def test_the_page_of_what_is_wrong_is_opened_where_somebody_sits_at_the_terminal(attempt, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert path_in(attempt("exp", "return dy")[1]).is_file() and opened == []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, _ = attempt("exp", "return dy")
    assert code == 1 and opened == [path_in(out).as_uri()]


def test_plain_shows_the_step_in_the_terminal(attempt, exercise):
    attempt("exp", "dx = 2 * dy * y\nreturn dx")
    code, out, _ = exercise("--check", "exercise_exp.py", "--plain")
    assert code == 1 and "step through it" not in out
    assert "dx = share from your_exp" in out and "dx = 2 * dy * y" in out and "seed" not in out
    assert "✗ finite differences; at [" in out


def test_what_the_engine_refuses_has_no_page(attempt):
    code, out, err = attempt("exp", "return dy.sum()")
    assert code == 1 and "step through it" not in out and err == ""


@pytest.mark.parametrize("op", WRONG)
def test_the_page_opens_at_the_first_wrong_step(op, attempt, browser):
    body, gradient = WRONG[op]
    _, out, _ = attempt(op, body)
    tab, complaints = browser.new_page(), []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(path_in(out).as_uri())
    assert tab.inner_text("#title") == f"{gradient} = share from your_{op}"
    [shown, wrong] = [re.search(r"step:? (\d+)", tab.inner_text(box))[1] for box in ("#counter", "#wrong")]
    assert shown == wrong and "wrong" in tab.get_attribute("#checks li:first-child", "class")
    cell = re.search(r"first wrong entry: \w+\[([\d, ]+)\]", out)[1].replace(" ", "")
    tab.wait_for_url(f"**#step={shown}&cell={cell}")
    assert complaints == []
    tab.close()


OWN = """
from tinyllm import op
def mine_forward(x): return x, ()
def mine_backward(dy): return dy
mine = op(mine_forward, mine_backward)
"""
MISTAKES = {
    "an unknown op": (["layernorm"], "no op is called 'layernorm'; did you mean layer_norm?"),
    "no such file": (["--check", "dogs.py"], "dogs.py: No such file or directory"),
    "not written yet": (["--check", "stub.py"], "exp_backward is not written yet"),
    "a syntax error": (["--check", "syntax.py"], "syntax.py, line 1: SyntaxError: invalid syntax"),
    "no op": (["--check", "empty.py"], "empty.py defines no op"),
    "an op of one's own": (["--check", "own.py"], "own.py: mine is no exercise; `tinyllm check own.py` checks"),
    "both": (["exp", "--check", "stub.py"], "--check stub.py grades that file; leave OP, --out and --force out"),
    "no op for --out": (["--out", "x.py"], "--out and --force need an OP"),
    "a folder that is not there": (["exp", "--out", "no/x.py"], "no/x.py: No such file or directory"),
}


@pytest.mark.parametrize("arguments, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_get_one_clear_message(arguments, message, exercise, tmp_path):
    exercise("exp", "--out", "stub.py")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "own.py").write_text(OWN)
    code, out, err = exercise(*arguments)
    assert code == 2 and out == "" and message in err.replace("\\", "/") and "Traceback" not in err
    assert len(err.splitlines()) <= 3
