"""`tinyllm check`: the table, the objects, the exit code."""

import json
import subprocess
import sys

import pytest

from tinyllm.checking import tinyllm_ops
from tinyllm.cli import main

OPS = tinyllm_ops()

CUBE = '''
from tinyllm import op

def cube_forward(x):
    """y = x³

    x (...)  ->  y (...)
    """
    print("hello")
    return x * x * x, (x,)

def cube_backward(dy, x):
    return 3 * x * x * dy

cube = op(cube_forward, cube_backward)
'''


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, text=None):
        if text is not None:
            (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        code = 0
        try:
            main(["check", *arguments])
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_every_op_has_its_line_and_is_right(check):
    code, out, err = check()
    table, _, verdict = out.partition("\n\n")
    head, *rows = table.splitlines()
    assert code == 0 and err == ""
    assert head.split() == ["op", "numeric", "analytic", "error"]
    assert [row.split()[0] for row in rows] == sorted(OPS) and all(row.endswith(" ok") for row in rows)
    assert verdict.startswith(f"{len(OPS)} ops, 12 examples each: all right.")


def test_another_seed_draws_other_numbers_and_json_is_a_list_of_objects_and_nothing_else(check):
    first, second = (json.loads(check("--json", "--seed", seed)[1]) for seed in "01")
    assert {tuple(result) for result in first} == {("op", "ok", "examples", "numeric", "analytic", "error", "problem")}
    assert all(result["ok"] and result["error"] < 1e-7 for result in first + second)
    assert all(a["numeric"] != b["numeric"] for a, b in zip(first, second))


def test_an_op_of_ones_own(check):
    code, out, err = check("mine.py", text=CUBE)
    assert code == 0 and "1 op, 12 examples each: all right." in out
    assert "hello" not in out and "hello" in err


def test_a_wrong_op_is_shown_and_leaves_with_1(check):
    code, out, _ = check("mine.py", text=CUBE.replace("3 * x * x", "3 * x"))
    assert code == 1 and " WRONG\n    dx differs from finite differences in cube(x " in out and "wrong: cube." in out
    code, out, _ = check("mine.py", "--json", text=CUBE.replace("3 * x * x", "3 / 0 * x"))
    (result,) = json.loads(out)
    assert code == 1 and not result["ok"] and result["numeric"] is None
    assert result["problem"].startswith("mine.py, line 13, in cube_backward: ZeroDivisionError: division by zero\n")


def test_where_a_shape_line_does_not_do_the_file_gives_examples(check):
    bare = CUBE.replace("x (...)  ->  y (...)", "")
    code, _, err = check("mine.py", text=bare)
    assert code == 2 and 'examples = {"cube": lambda rng: (rng.standard_normal((3, 4)),)}' in err
    code, out, _ = check("mine.py", text=bare + 'examples = {"cube": lambda rng: (rng.standard_normal((3, 4)),)}\n')
    assert code == 0 and "all right" in out


MISTAKES = {
    "no such file": (["dogs.py"], None, "dogs.py: No such file or directory"),
    "a syntax error": (["mine.py"], "def f(:\n", "mine.py, line 1: SyntaxError: invalid syntax"),
    "no op": (["mine.py"], "x = 1\n", "mine.py defines no op"),
    "a negative seed": (["--seed=-1"], None, "--seed must be 0 or more, not -1"),
}


@pytest.mark.parametrize("arguments, text, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_get_one_clear_message(arguments, text, message, check):
    code, out, err = check(*arguments, text=text)
    assert code == 2 and out == "" and message in err and len(err.splitlines()) <= 2


@pytest.mark.parametrize("command", ["check", "exercise"])
def test_help_loads_no_numpy(command):
    code = f"import sys; from tinyllm.cli import main; main([{command!r}, '--help']); assert 'numpy' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
