"""Every step is there, says where it comes from, and adds up."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from tests.tracing.recordings import OPS, record, record_examples
from tinyllm.autograd import Op
from tinyllm.tracing import page as page_module
from tinyllm.tracing.source import result_lines

STEP = """() => ({
  formulas: [...document.querySelectorAll("math")].map((math) => math.getBoundingClientRect().height),
  errors: document.querySelectorAll("merror").length,
  why: document.querySelector("#formula p")?.textContent ?? "",
  arrays: document.querySelectorAll("#makes canvas, #makes output").length,
  source: document.getElementById("source-name").textContent,
  lit: [...document.querySelectorAll(".lit")].map((line) => [Number(line.dataset.line), line.textContent]),
  checks: document.getElementById("checks").innerText,
  wrong: document.querySelectorAll("#checks .wrong").length,
})"""


def test_the_policy_lets_in_nothing_but_the_pages_own_script_and_style(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and policy.count("sha256-") == 2
    assert not re.search(r"(src|href)=\"(?!#)", html.partition('<script type="application/json"')[0])


@pytest.mark.parametrize("config", [{}, {"bias": False, "dropout": 0.1}])
def test_every_step_has_one_formula_a_reason_arrays_and_the_lines_that_made_it(open_page, config):
    recording, _ = record(n_layer=1, **config)
    steps = recording.steps
    for step, shown in zip(steps, open_page(recording.to_html()).at_each(range(len(steps)), STEP)):
        [height] = shown["formulas"]
        assert 12 <= height <= 120 and not shown["errors"], (step, height)
        assert shown["why"].endswith(".") and shown["arrays"], step
        if step.phase == "seed":
            continue
        file, line = shown["source"].split(":")
        installed = (Path(page_module.__file__).parents[2] / file).read_text("utf-8").split("\n")
        assert shown["lit"] and shown["lit"][0][0] == int(line)
        assert all(text == f"{number}{installed[number - 1]}\n" for number, text in shown["lit"])


def test_layer_norm_without_a_bias_is_made_by_the_line_of_the_weight(open_page):
    recording, _ = record(n_layer=1, bias=False)
    i = next(i for i, step in enumerate(recording.steps) if step.call and step.call.op is OPS["layer_norm"])
    opened = open_page(recording.to_html(), f"#step={i}")
    assert opened.text(".lit").strip().endswith("y = y * weight")


def test_what_the_engine_ran_is_what_is_there(open_page, monkeypatch):
    """Counted by a spy around every call of an op, and not by the recorder."""
    calls, run = [], Op.__call__

    def spied(op, *inputs, **options):
        y = run(op, *inputs, **options)
        calls.append(sum(x is not None and getattr(x, "requires_grad", False) for x in inputs))
        return y

    monkeypatch.setattr(Op, "__call__", spied)
    recording, _ = record(n_layer=1)
    after = len([step for step in recording.steps if step.phase == "forward"])  # the loss after the step is no step
    assert len(calls) == 2 * after
    opened = open_page(recording.to_html())
    phases = opened.at_each(range(len(recording.steps)), "() => document.body.dataset.phase")
    assert phases.count("forward") + phases.count("loss") == after
    assert phases.count("backward") == sum(calls[:after])
    assert int(opened.text("#counter").split()[-1]) == len(recording.steps)  # and the loss after


def zeroed(function, lines):
    """The function with what the statements on those lines compute put to nought."""
    source = Path(function.__code__.co_filename).read_text("utf-8")
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if getattr(node, "name", None) == function.__name__]
    for node in ast.walk(tree):
        if not (isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) and lines[0] <= node.lineno <= lines[1]):
            continue
        value = ast.Constant(None) if isinstance(node, ast.Expr) else ast.BinOp(node.value, ast.Mult(), ast.Constant(0))
        node.value = value
    names = dict(function.__globals__)
    exec(compile(ast.fix_missing_locations(tree), "<zeroed>", "exec"), names)
    return names[function.__name__]


def results(function, *arguments, **options):
    try:
        made = function(*arguments, **options)
    except Exception as error:
        return [error]
    return list(made) if isinstance(made, (tuple, list)) else [made]


def differ(right, blank, i):
    return len(right) != len(blank) or not np.array_equal(right[i], blank[i], equal_nan=True)


@pytest.mark.parametrize("name", sorted(OPS))
@pytest.mark.filterwarnings("ignore")
def test_without_the_highlighted_line_the_step_is_another_one(name):
    op, changed = OPS[name], set()
    for step in record_examples([name], 8).steps:
        if step.phase == "forward":
            call = step.call
            arrays = [None if x is None else x.array for x in call.inputs]
            known = {x: None for x, array in zip(op.names, arrays) if array is None} | call.options
            [lines] = result_lines(op.forward, known)[:1]
            right, blank = (results(f, *arrays, **call.options) for f in (op.forward, zeroed(op.forward, lines)))
            if differ(right, blank, 0):
                changed.add("y")
        elif step.phase == "backward":
            lines = result_lines(op.backward)
            lines = lines[min(step.wrt, len(lines) - 1)]
            saved = [getattr(x, "array", x) for x in step.call.saved.values()]
            dy = np.ones_like(step.call.output.array)
            right, blank = (results(f, dy, *saved) for f in (op.backward, zeroed(op.backward, lines)))
            if differ(right, blank, step.wrt):
                changed.add(step.wrt)
    wrt = range(3) if op.variadic else [i for i, x in enumerate(op.names) if x not in op.discrete]
    assert changed == {"y", *wrt}


def test_the_pages_sums_have_the_engines_bits_and_end_at_the_parameters_gradient(open_page, html, recorded):
    recording, gradients = recorded
    last = {step.value.name: step.after for step in recording.steps if step.phase == "backward"}
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(last[name], gradient)
    backward = [i for i, step in enumerate(recording.steps) if step.phase == "backward"]
    for shown in open_page(html).at_each(backward, STEP):
        assert "has the engine's bits" in shown["checks"] and not shown["wrong"]


def test_what_is_added_to_is_shown_on_one_scale(open_page, html, recorded):
    opened = open_page(html)
    second = next(i for i, step in enumerate(recorded[0].steps) if step.nth == 2)
    opened.go(second)
    assert opened.tab.locator("#makes figure").count() == 3
    assert opened.tab.locator("#makes .sign").all_inner_texts() == ["+", "="]
    assert "one scale" in opened.text("#makes-head")
