"""The line that is shown is the line that makes the value."""

import ast
import inspect
import linecache
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tinyllm.ops  # noqa: F401  (fills OPS)
from tinyllm import Tensor
from tinyllm.checking import examples, tinyllm_ops
from tinyllm.tracing import trace
from tinyllm.tracing.source import result_lines

OPS = tinyllm_ops()

FUNCTIONS = [function for op in OPS.values() for function in (op.forward, op.backward)]


def text_of(function, lines):
    file = function.__code__.co_filename
    return " ".join(linecache.getline(file, n).strip() for n in range(lines[0], lines[1] + 1))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_result_has_its_line_within_the_function(function):
    source, first = inspect.getsourcelines(function)
    found = result_lines(function)
    assert found and any(found)
    for lines in found:
        assert lines is None or first < lines[0] <= lines[1] < first + len(source)


@pytest.mark.parametrize(
    ("function", "result", "text"),
    [
        ("embedding_backward", 1, "xp.add.at(dweight, ids, dy)"),  # and not `dweight = xp.zeros(…)`
        ("linear_backward", 1, "dweight = x.reshape(-1, x.shape[-1]).T @ drows"),  # and not `dx = dweight = … = None`
        ("layer_norm_backward", 0, "dx = (dx_hat - mean_dx_hat - x_hat * mean_dx_hat_x_hat) * rstd"),
        ("layer_norm_forward", 0, "y = y + bias"),
        ("softmax_forward", 0, "p = e / e.sum(axis=axis, keepdims=True)"),
    ],
)
def test_the_line_is_the_one_that_a_reader_would_point_at(function, result, text):
    function = next(f for f in FUNCTIONS if f.__name__ == function)
    assert text_of(function, result_lines(function)[result]) == text


@pytest.mark.parametrize(
    ("op", "known", "text"),
    [
        ("layer_norm", {}, "y = y + bias"),
        ("layer_norm", {"bias": None}, "y = y * weight"),
        ("layer_norm", {"weight": None, "bias": None}, "y = x_hat"),
        ("layer_norm", {"weight": None}, "y = y + bias"),
        ("cross_entropy", {"reduction": "mean"}, "loss = xp.where(count > 0, losses.sum() / n, math.nan)"),
        ("cross_entropy", {"reduction": "sum"}, "loss, n = losses.sum(), 1"),
        ("cross_entropy", {"reduction": "none"}, "loss, n = losses.reshape(targets.shape), 1"),
    ],
)
def test_what_did_not_run_is_not_marked(op, known, text):
    assert text_of(OPS[op].forward, result_lines(OPS[op].forward, known)[0]) == text


def without(function, lines):
    """The function with a raise in the place of the statement on those lines."""
    source, first = textwrap.dedent(inspect.getsource(function)), inspect.getsourcelines(function)[1]
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            for i, statement in enumerate(statements if isinstance(statements, list) else ()):
                if statement.lineno + first - 1 == lines[0]:
                    statements[i] = ast.parse("raise ZeroDivisionError").body[0]
    scope = dict(function.__globals__)
    exec(compile(tree, "<without>", "exec"), scope)
    return scope[function.__name__]


def raises(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except ZeroDivisionError:
        return True
    return False


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.__name__)
def test_no_result_is_made_without_its_line(op):
    """Where the line is replaced by a raise, the forward (and each gradient of the backward) is not made any more."""
    first = result_lines(op.forward)[0]
    backwards = [without(op.backward, lines) for lines in result_lines(op.backward) if lines]
    reached = set()
    for example in examples(op, 0):
        if raises(without(op.forward, first), *example.inputs, **example.options):
            reached.add("forward")
        y, saved = op.forward(*example.inputs, **example.options)
        reached |= {i for i, backward in enumerate(backwards) if raises(backward, np.ones_like(y), *saved)}
    assert reached == {"forward", *range(len(backwards))}


def test_names_come_from_the_statement_whose_value_it_is():
    x = Tensor(np.ones((2, 2)))
    with trace() as t:
        total = (x * 2.0 + 1.0).sum()
        row = x[0] if total.item() else None
        row = row.exp()
    assert [call.output.name for call in t.calls] == ["multiply", "add", "total", "row", "row"]


def test_places_lead_from_the_op_outwards_and_leave_out_the_engine():
    x = Tensor(np.ones((2, 2)))
    with trace() as t:
        y = tinyllm.nn.functional.linear(x, x)
    files = [Path(place.file).name for place in t.calls[-1].places]
    assert files[:2] == ["functional.py", Path(__file__).name] and y.shape == (2, 2)
    place = t.calls[-1].places[1]
    line = linecache.getline(place.file, place.line)
    assert line[place.column : place.end_column] == "tinyllm.nn.functional.linear(x, x)"


def test_code_without_a_file_is_recorded_without_names():
    scope = {"x": Tensor(np.ones(2))}
    with trace() as t:
        exec("y = x * 2.0", scope)
    assert t.calls[0].output.name == "multiply"
