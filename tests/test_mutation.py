"""The mutation run itself: it breaks what it says it breaks, sees what survives, and a few ops have no survivor.

`python tests/mutation.py` does all ops.
"""

import ast
import inspect
import textwrap
from collections import Counter

import pytest

from tests import mutation
from tinyllm.autograd import OPS
from tinyllm.ops.arithmetic import add_backward, unbroadcast
from tinyllm.ops.embedding import embedding_backward
from tinyllm.ops.layer_norm import layer_norm_backward
from tinyllm.ops.softmax import softmax_backward

KINDS = {"sign", "term", "factor", "inverse", "constant", "transpose", "sum", "mean for sum", "keepdims", "add.at",
         "new axis", "reshape", "call", "dtype", "where", "comparison", "condition", "gradients",
         "statement"}  # fmt: skip
OPS_TO_BREAK = ["add", "softmax", "layer_norm", "embedding", "linear", "causal_attention", "unbroadcast"]


def mutated(function, kind):
    return {mutant.mutated for mutant in mutation.mutants(function) if mutant.kind == kind}


def unchanged(function):
    """A mutant that is no different."""
    return mutation.Mutant(function, "sign", "here.py:1", "dx = dy", "dx = +dy", function.__code__)


def statements(function):
    """The lines of a function that could be wrong: not its docstring, `xp = …`, `return dx` and `dx = None`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    first = inspect.getsourcelines(function)[1] - 1
    work = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.IfExp)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node is not tree and not ast.unparse(node).startswith("xp = array_module("):
            if any(isinstance(part, work) for part in ast.walk(node)):
                yield first + node.lineno


@pytest.mark.parametrize("name", OPS_TO_BREAK)
def test_no_mutant_survives(name):
    made, survivors = mutation.hunt(name)
    known = {mutated for op, mutated in mutation.EQUIVALENT if op == name}
    assert made and {mutant.mutated for mutant in survivors} == known


def test_every_kind_of_mistake_occurs_and_many_mutants_are_made():
    kinds = Counter(mutant.kind for function, _ in mutation.targets().values() for mutant in mutation.mutants(function))
    assert KINDS <= set(kinds)
    assert kinds.total() > 600
    assert len(list(mutation.mutants(layer_norm_backward))) >= 50


@pytest.mark.parametrize("name", sorted(mutation.targets()))
def test_every_line_is_broken(name):
    function, _ = mutation.targets()[name]
    broken = {int(mutant.where.rpartition(":")[2]) for mutant in mutation.mutants(function)}
    assert set(statements(function)) <= broken


def test_the_mutants_of_softmax():
    assert mutated(softmax_backward, "term") == {"dx = p * dy", "dx = p * -(dy * p).sum(axis=axis, keepdims=True)"}
    assert "dx = p * (dy + (dy * p).sum(axis=axis, keepdims=True))" in mutated(softmax_backward, "sign")
    assert mutated(softmax_backward, "keepdims") == {"dx = p * (dy - (dy * p).sum(axis=axis))"}
    assert mutated(softmax_backward, "sum") == {"dx = p * (dy - dy * p)"}


def test_mutants_that_forget_a_broadcast_mix_up_gradients_or_lose_repeated_ids():
    assert mutated(add_backward, "sum") == {"da = dy", "db = dy"}
    assert mutated(add_backward, "gradients") == {"return (db, da)"}
    assert mutated(embedding_backward, "add.at") == {"dweight[ids] += dy"}


@pytest.mark.parametrize("name", ["layer_norm", "matmul", "unbroadcast"])
def test_no_two_mutants_are_the_same_and_none_is_the_original(name):
    function, _ = mutation.targets()[name]
    mutants = list(mutation.mutants(function))
    assert len({(mutant.where, mutant.mutated) for mutant in mutants}) == len(mutants)
    assert all(mutant.mutated != mutant.original for mutant in mutants)


def test_a_helper_is_watched_by_the_ops_that_call_it():
    function, ops = mutation.targets()["unbroadcast"]
    assert function is unbroadcast and {"add", "matmul", "broadcast_to"} <= set(ops)


def test_a_mutant_is_in_place_only_while_it_is_tried():
    healthy, mutant = add_backward.__code__, next(mutation.mutants(add_backward))
    with pytest.raises(ZeroDivisionError), mutation.in_place(mutant):
        assert OPS["add"].backward.__code__ is mutant.code
        raise ZeroDivisionError
    assert add_backward.__code__ is healthy


def test_what_changes_nothing_survives_and_the_run_fails(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "mutants", lambda function: [unchanged(function)])
    assert mutation.main(["negative"]) == 1
    printed = capsys.readouterr().out
    assert "negative" in printed and "0 / 1" in printed and "here.py:1" in printed and "+ dx = +dy" in printed


def test_an_equivalent_mutant_is_let_through(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "mutants", lambda function: [unchanged(function)])
    monkeypatch.setattr(mutation, "EQUIVALENT", {("negative", "dx = +dy"): "a plus does nothing"})
    assert mutation.main(["negative"]) == 0
    assert "equivalent: a plus does nothing" in capsys.readouterr().out


def test_a_stale_excuse_fails_the_run(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "EQUIVALENT", {("negative", "dx = dy"): "not true: the checks kill it"})
    assert mutation.main(["negative"]) == 1
    printed = capsys.readouterr().out
    assert "1 of 1 mutants killed" in printed and "('negative', 'dx = dy'), but no such mutant survives" in printed


def test_checks_that_are_red_without_a_mutant_prove_nothing():
    mutant = next(mutation.mutants(softmax_backward))
    with mutation.in_place(mutant), pytest.raises(RuntimeError, match="softmax fails its checks as it is"):
        mutation.hunt("softmax")


def test_an_unknown_op_is_refused(capsys):
    with pytest.raises(SystemExit):
        mutation.main(["layernorm"])
    assert "no op or helper called layernorm" in capsys.readouterr().err
