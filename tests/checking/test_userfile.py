"""A user's file of ops is read without a trace, and its mistakes are told with their line."""

import sys

import pytest

from tinyllm.autograd import OPS
from tinyllm.checking import check_op, read_ops

CUBE = '''
from tinyllm import op
def {name}_forward(x):
    """x (...) -> y (...)"""
    print("running")
    return x * x * x, (x,)
def {name}_backward(dy, x):
    return 3 * x * x * dy
{name} = op({name}_forward, {name}_backward)
print("read")
'''


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", ["cube", "exp"])
def test_the_ops_of_a_file_are_found_and_ours_stay(name, write, capsys):
    before = dict(OPS)
    user = read_ops(write(CUBE.format(name=name)))
    assert list(user.ops) == [name] and OPS == before
    assert user.ops[name] is not OPS.get(name)
    assert check_op(user.ops[name], user.examples_of(user.ops[name], 0)).ok
    assert capsys.readouterr().out.count("read") == 0, "standard output is for the result"


def test_ours_stay_also_where_the_file_fails_later(write):
    before = dict(OPS)
    with pytest.raises(ValueError):
        read_ops(write(CUBE.format(name="exp") + "1 / 0\n"))
    assert OPS == before


def test_what_lies_beside_the_file_can_be_imported(write):
    write("factor = 3\n", "beside_it.py")
    path = list(sys.path)
    user = read_ops(write(CUBE.format(name="cube").replace("3 *", "factor *") + "from beside_it import factor\n"))
    assert list(user.ops) == ["cube"] and sys.path == path


MISTAKES = {
    "a syntax error": ("x = 1\ndef f(:\n", "mine.py, line 2: SyntaxError: invalid syntax\n    def f(:"),
    "an exception": ("def f():\n    return 1 / 0\nf()\n", "mine.py, line 2, in f: ZeroDivisionError: division by zero"),
    "no op": ("x = 1\n", "mine.py defines no op: let it end as `cube = op(cube_forward, cube_backward)` does"),
    "tinyllm's own ops": ("from tinyllm.ops import exp\n", "defines no op"),
    "examples that are no dict": (CUBE.format(name="cube") + "examples = []\n", "examples must be a dict"),
}


@pytest.mark.parametrize("text, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_line(text, message, write):
    with pytest.raises(ValueError) as error:
        read_ops(write(text))
    assert message in str(error.value)


def test_a_mistake_in_its_examples_is_told_with_its_line(write):
    user = read_ops(write(CUBE.format(name="cube") + 'examples = {"cube": lambda rng: (rng.normal(sise=3),)}\n'))
    with pytest.raises(ValueError, match="mine.py, line 11, in <lambda>: TypeError"):
        user.examples_of(user.ops["cube"], 0)


WRONG = {
    "a factor": ("3 * x", "2 * x", "dx differs from finite differences in cube(x"),
    "a name": ("3 * x", "3 * z", "mine.py, line 8, in cube_backward: NameError: name 'z' is not defined\n    return"),
    "a shape": ("return 3 * x * x * dy", "return dy.sum()", "cube_backward must give a (2,) float64 gradient, gave ()"),
}


@pytest.mark.parametrize("right, wrong, problem", WRONG.values(), ids=WRONG)
def test_a_wrong_backward_is_found_and_told(right, wrong, problem, write):
    user = read_ops(path := write(CUBE.format(name="cube").replace(right, wrong)))
    result = check_op(user.ops["cube"], user.examples_of(user.ops["cube"], 0), path)
    assert not result.ok and problem in result.problem


SCALE = '''
from tinyllm import op
def scale_forward(x, w):
    """x (..., C)  w ()  ->  y (..., C)"""
    return x * w, (x, w)
def scale_backward(dy, x, w):
    return dy * w, (dy + x).sum()
scale = op(scale_forward, scale_backward)
'''


def test_the_wrong_one_of_several_gradients_is_named(write):
    user = read_ops(write(SCALE))
    result = check_op(user.ops["scale"], user.examples_of(user.ops["scale"], 0))
    assert result.problem.startswith("dw differs from finite differences in scale(x (")
