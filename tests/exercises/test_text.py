"""The file of an exercise: all of the forward, nothing of the backward, and it runs."""

import inspect

import pytest

from tinyllm.autograd import OPS as REGISTRY
from tinyllm.checking import read_ops, tinyllm_ops
from tinyllm.exercises import exercise_text, grade

OPS = tinyllm_ops()
every_op = pytest.mark.parametrize("name", sorted(OPS))


def lines(text):
    return {line.strip().strip('"') for line in text.splitlines()} - {""}


@every_op
def test_the_forward_is_given_and_nothing_of_the_backward(name):
    op = OPS[name]
    text = exercise_text(op, "mine.py")
    forward, backward = inspect.getsource(op.forward), inspect.getsource(op.backward)
    assert forward in text
    assert lines(text) & lines(backward) - lines(forward) == {f"def {name}_backward{inspect.signature(op.backward)}:"}
    assert max(map(len, text.splitlines()[:-1])) <= 120


@every_op
def test_every_name_of_its_backward_is_explained(name):
    op = OPS[name]
    task = exercise_text(op, "mine.py").partition(f"def {name}_backward")[2]
    for parameter in inspect.signature(op.backward).parameters:
        assert f"\n    {parameter} " in task
    grads = task.partition("\n    return ")[2]
    assert all(f"d{array} (" in grads for array in op.names if array not in op.discrete) or "a tuple with one" in grads


@every_op
def test_solved_by_tinyllms_own_backward_it_is_exact(name, tmp_path):
    path = tmp_path / "mine.py"
    head, _, tail = exercise_text(OPS[name], "mine.py").partition(f"def {name}_backward(")
    last_line = tail.strip().splitlines()[-1]
    path.write_text(f"{head}{inspect.getsource(OPS[name].backward)}\n\n{last_line}\n", encoding="utf-8")
    before = dict(REGISTRY)
    (theirs,) = read_ops(path).ops.values()
    assert theirs.discrete == OPS[name].discrete and theirs.__signature__ == OPS[name].__signature__
    result = grade(theirs, OPS[name], path)
    assert result.right and result.gradients
    assert {gradient.verdict for gradient in result.gradients} == {"exact"}
    assert REGISTRY == before


def test_what_the_backward_is_given_is_described_with_its_shape():
    text = exercise_text(OPS["layer_norm"], "mine.py")
    assert """
    dy      (..., C)  dL/dy
    x_hat   (..., C)  worked out by the forward
    rstd    (..., 1)  worked out by the forward
    weight  (C,)      the input, or None
    needs             for each array, whether its gradient is wanted; you may work out all of them

    return dx (..., C), dweight (C,), dbias (C,)
""" in text


def test_lengths_that_fit_each_other_have_their_letters():
    text = exercise_text(OPS["causal_attention"], "mine.py")
    assert "q     (B, H, T, D)       worked out by the forward" in text and "return dqkv (B, T, 3C), None" in text


def test_shapes_options_and_helpers_are_named():
    text = exercise_text(OPS["mean"], "mine.py")
    assert "x_shape         the shape of x" in text and "axis            the option" in text
    assert "at hand: spread(dy, shape, axis); help() says what it does" in text
    assert "from math import prod\n\nfrom tinyllm import op\nfrom tinyllm.ops.reduction import spread\n" in text
