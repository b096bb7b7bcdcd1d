"""Whatever cell the reader points at: the terms that are printed sum to the number that is shown, in both phases."""

import random
import re

import numpy as np
import pytest

from tests.tracing.browser import ARITHMETIC
from tests.tracing.recordings import OPS, record, record_examples
from tinyllm import Tensor
from tinyllm.tracing import page as page_module
from tinyllm.tracing import trace
from tinyllm.tracing.page import to_html


def number(text):
    return float(text.strip("()").replace("−", "-").replace("∞", "inf"))


def product(term):
    value, divide = 1.0, False
    for part in re.split(r"( · | ÷ )", term):
        if part in (" · ", " ÷ "):
            divide = part == " ÷ "
        else:
            value = value / number(part) if divide else value * number(part)
    return value


def check_lines(lines, value, where):
    """Each line's printed terms sum to the number at its end, and the first line's is the cell's."""
    assert lines, f"{where}: no arithmetic"
    for name, terms, end in lines:
        products = [(-1 if "−" in sign else 1) * product(term) for sign, term in terms]
        close = 2e-3 * sum(map(abs, products)) + 1e-12
        assert abs(sum(products) - number(end)) <= close, (where, name, terms, end)
    assert abs(number(lines[0][2]) - value) <= 1e-3 * abs(value) + 1e-6, (where, lines[0], value)


def check_cells(opened, steps, count, seed=0):
    """check_lines at `count` random cells of each of {index: step}."""
    choose, places = random.Random(seed), []
    for i, step in steps.items():
        shape = () if step.phase == "clip" else step.after.shape
        if 0 not in shape:
            places += [(i, tuple(choose.randrange(n) for n in shape)) for _ in range(count if shape else 1)]
    for (i, cell), lines in zip(places, opened.at_each(places, ARITHMETIC)):
        step = steps[i]
        recorded = step.numbers["scale"] if step.phase == "clip" else step.after[cell]
        call = step.call and (step.call.op.__name__, step.call.options, [x and x.array.shape for x in step.call.inputs])
        check_lines(lines, recorded, (i, step.phase, step.wrt, call, cell))


def no_checks(monkeypatch):
    monkeypatch.setattr(page_module, "check_steps", lambda trace: {})  # they have their own tests, and take long


@pytest.mark.parametrize("config", [{}, {"dropout": 0.3}, {"bias": False, "tie_weights": False}])
def test_every_kind_of_step_of_a_gpt(open_page, monkeypatch, config):
    no_checks(monkeypatch)
    recording, _ = record(n_layer=1, **config)
    opened = open_page(to_html(recording))
    check_cells(opened, dict(enumerate(recording.steps)), 2)


@pytest.mark.parametrize("seed", range(2))
def test_every_op_in_both_phases(open_page, monkeypatch, seed):
    no_checks(monkeypatch)
    recording = record_examples(OPS, 4, seed)
    steps = {i: step for i, step in enumerate(recording.steps) if step.phase != "seed"}
    backwards = [(step.call.op, step.wrt) for step in steps.values() if step.phase == "backward"]
    seen = {(op.__name__, 0 if op.variadic else wrt) for op, wrt in backwards}
    assert seen == {(name, i) for name, op in OPS.items() for i, x in enumerate(op.names) if x not in op.discrete}
    check_cells(open_page(to_html(recording)), steps, 2, seed)


def test_every_way_to_pick(open_page, monkeypatch):
    no_checks(monkeypatch)
    rows, x = np.array([[2, 0], [-1, 2]]), Tensor(np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4"), True)
    ways = [0, (1, 2), (1, 2, 3), ..., None, (slice(1, None), None, ..., -1), (slice(None, None, -2), slice(-3, -1)),
            [0, 2], ([0, 2], slice(None), [1, 1]), (0, slice(None), [4, 1]), (rows, rows), (slice(None), rows, None, 2),
            x.data > 0, (..., x.data[0, 0] > 0), (x.data[:, :, 0] > 0, 1), slice(0, 0)]  # fmt: skip
    with trace() as recording:
        for index in ways:
            y = x[index]
            y.backward(np.arange(y.data.size, dtype="f4").reshape(y.shape))
    check_cells(open_page(to_html(recording)), {i: s for i, s in enumerate(recording.steps) if s.phase != "seed"}, 8)


def test_the_cell_under_the_pointer_is_the_one_that_is_shown(open_page, html, recorded):
    """With a real mouse, over the middle of a cell: its name, and the number that was recorded there."""
    opened = open_page(html)
    for i in (4, 35, 47):
        step = recorded[0].steps[i]
        opened.go(i)
        box = opened.tab.locator("#makes .marks").last.bounding_box()
        for across, down in [(0.4, 0.5), (0.7, 0.8)]:
            opened.tab.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
            [first, *_] = opened.tab.evaluate(ARITHMETIC)
            cell = tuple(int(n) for n in re.search(r"\[(.*)\]", first[0])[1].split(","))
            rows, columns = step.after.shape[-2:]
            assert abs(cell[-2] / rows - down) < 0.2 > abs(cell[-1] / columns - across)  # names take some room
            check_lines(opened.tab.evaluate(ARITHMETIC), step.after[cell], (i, cell))
    opened.tab.mouse.move(5, 5)
    assert "until you point at one" in opened.text("#made-at")  # then the largest one is an example
    largest = np.unravel_index(np.abs(step.share).argmax(), step.share.shape)
    check_lines(opened.tab.evaluate(ARITHMETIC), step.after[largest], largest)


def test_at_most_eight_terms_are_shown_until_all_are_asked_for(open_page, html, recorded):
    linear = next(i for i, step in enumerate(recorded[0].steps) if step.call.op.__name__ == "linear")
    opened = open_page(html, f"#step={linear}&cell=0,0")
    assert opened.tab.locator(".equation .term").count() == 8
    assert "… 9 more" in opened.text(".more")
    opened.tab.click(".more")
    assert opened.tab.locator(".equation .term").count() == 17
