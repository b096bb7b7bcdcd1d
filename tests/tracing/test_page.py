"""The page in a real browser: it says what was recorded, obeys the keys, and fits."""

import ast
import json
import re
import time
from functools import wraps
from html import escape
from pathlib import Path

import numpy as np
import pytest

from tests.tracing.browser import STATE
from tests.tracing.recordings import OPS, record
from tinyllm.tracing import page as page_module
from tinyllm.tracing.page import to_html

SIZES = [(1440, 900), (1280, 720), (1024, 768), (768, 1024), (390, 844)]


# 1, 2, 3: every step is there, and says where it comes from


def test_the_policy_lets_in_nothing_but_the_pages_own_script_and_style(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and policy.count("sha256-") == 2
    assert not re.search(r"(src|href)=\"(?!#)", html.partition('<script type="application/json"')[0])


def test_every_step_has_one_formula_arrays_and_the_lines_that_made_it(open_page, html, recorded):
    opened = open_page(html)
    for i, step in enumerate(recorded[0].steps):
        opened.go(i)
        [height] = opened.tab.eval_on_selector_all("math", "all => all.map((m) => m.getBoundingClientRect().height)")
        assert 12 <= height <= 120, (i, height)
        assert opened.tab.locator("merror").count() == 0
        assert opened.tab.locator("#makes canvas, #makes output").count()
        if step.phase == "seed":
            continue
        file, line = opened.text("#source-name").split(":")
        installed = (Path(page_module.__file__).parents[2] / file).read_text("utf-8").split("\n")
        lit = opened.tab.eval_on_selector_all(".lit", "all => all.map((l) => [Number(l.dataset.line), l.textContent])")
        assert lit and lit[0][0] == int(line)
        assert all(text == f"{number}{installed[number - 1]}\n" for number, text in lit)


def test_there_is_a_backward_step_for_each_input_that_wants_a_gradient(recorded):
    steps = recorded[0].steps
    wanted = sum(value is not None and value.gradient for call in recorded[0].calls for value in call.inputs)
    assert sum(step.phase == "backward" for step in steps) == wanted
    assert sum(step.phase == "forward" for step in steps) == len(recorded[0].calls)


def backward_results(recording):
    """{op: {input: lines}} as the page highlights them."""
    exported = json.loads(recording.to_json())["ops"]
    return {name: [lines for lines in op["backward"]["results"]] for name, op in exported.items()}


def test_without_the_highlighted_line_the_gradient_is_another_one(recorded):
    lines = backward_results(recorded[0])
    seen = set()
    for step in recorded[0].steps:
        if step.phase != "backward" or (step.call.op.__name__, step.wrt) in seen:
            continue
        name = step.call.op.__name__
        seen.add((name, step.wrt))
        first, last = lines[name][step.wrt]
        source = Path(OPS[name].backward.__code__.co_filename).read_text("utf-8")
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if getattr(node, "name", None) == f"{name}_backward"]
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.Expr)) and first <= node.lineno and node.end_lineno <= last:
                if isinstance(node, ast.Expr):
                    node.value = ast.Constant(None)
                else:
                    node.value = ast.BinOp(node.value, ast.Mult(), ast.Constant(0))
        names = dict(OPS[name].backward.__globals__)
        exec(compile(ast.fix_missing_locations(tree), source, "exec"), names)
        saved = [x.array if hasattr(x, "array") else x for x in step.call.saved.values()]
        dy = np.ones_like(step.call.output.array)
        right, blank = OPS[name].backward(dy, *saved), names[f"{name}_backward"](dy, *saved)
        right, blank = (x if isinstance(x, tuple) else (x,) for x in (right, blank))
        assert np.any(right[step.wrt] != blank[step.wrt]), (name, step.wrt)


# 4: before + share = after


def test_the_pages_sums_have_the_engines_bits_and_end_at_the_parameters_gradient(open_page, html, recorded):
    recording, gradients = recorded
    opened = open_page(html)
    last = {}
    for i, step in enumerate(recording.steps):
        if step.phase == "backward":
            last[step.value.name] = step.after
            opened.go(i)
            assert "has the engine's bits" in opened.text("#checks")
            assert opened.tab.locator("#checks .wrong").count() == 0
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(last[name], gradient)


def test_what_is_added_to_is_shown_on_one_scale(open_page, html, recorded):
    opened = open_page(html)
    second = next(i for i, step in enumerate(recorded[0].steps) if step.nth == 2)
    opened.go(second)
    assert opened.tab.locator("#makes figure").count() == 3
    assert opened.tab.locator("#makes .sign").all_inner_texts() == ["+", "="]
    assert "one scale" in opened.text("#makes-head")


def test_at_most_eight_terms_are_shown_until_all_are_asked_for(open_page, html, recorded):
    linear = next(i for i, step in enumerate(recorded[0].steps) if step.call.op.__name__ == "linear")
    opened = open_page(html, f"#step={linear}&cell=0,0")
    assert opened.tab.locator(".equation .term").count() == 8
    assert "… 9 more" in opened.text(".more")
    opened.tab.click(".more")
    assert opened.tab.locator(".equation .term").count() == 17


# 6, 7, 8, 17: going about


def test_forth_and_back_gives_the_same_states(open_page, html):
    opened = open_page(html, "#step=25")
    there = []
    for _ in range(30):
        there.append(opened.tab.evaluate(STATE))
        opened.press("ArrowRight")
    for state in reversed(there):
        opened.press("ArrowLeft")
        assert opened.tab.evaluate(STATE) == state


def test_keys(open_page, html, recorded):
    steps = recorded[0].steps
    opened = open_page(html)
    last = int(opened.text("#counter").split()[-1])
    seed = next(i for i, step in enumerate(steps) if step.phase == "seed")

    def after(*keys):
        opened.press(*keys)
        return opened.step

    assert after("End") == last and after("ArrowRight") == last and after("Home") == 0 == after("ArrowLeft")
    assert after("b") == seed and after("ArrowRight") == seed + 1
    assert steps[after("p")].call is steps[seed + 1].call and after("p") == seed + 1
    second = next(i for i, step in enumerate(steps) if step.nth == 2 and step.phase == "backward")
    opened.go(second)
    first = after("[")
    assert steps[first].value is steps[second].value and steps[first].nth == 1 and after("]") == second
    opened.go(4)
    assert steps[after("ArrowDown")].call.scope != steps[4].call.scope and after("ArrowUp") == 4
    opened.press("/")
    opened.tab.keyboard.type("seed")
    assert after("Enter") == seed
    for key, dialog in {"?": "#help-dialog", "t": "#tours-dialog"}.items():
        opened.press(key)
        assert opened.tab.locator(f"{dialog}[open]").count() == 1
        opened.press("Escape")
    shown = [opened.tab.evaluate("document.documentElement.dataset.theme")]
    for _ in range(3):
        opened.press("d")
        shown.append(opened.tab.evaluate("document.documentElement.dataset.theme"))
    assert shown == ["light", "light", "dark", "contrast"]


def test_a_pinned_cell_is_moved_by_arrows_and_followed_to_its_source(open_page, html, recorded):
    steps = recorded[0].steps
    linear = next(i for i, step in enumerate(steps) if step.phase == "backward" and step.call.op.__name__ == "linear")
    opened = open_page(html, f"#step={linear}&cell=3,2")
    opened.tab.focus("#makes .marks")
    opened.press("ArrowRight", "ArrowDown")
    assert opened.address.endswith(f"#step={linear}&cell=0,4,3") and opened.step == linear
    opened.press("Enter")
    assert opened.step < linear and steps[opened.step].value is steps[linear].call.output
    assert "cell=" in opened.address


def test_a_click_pins_the_cell_under_it(open_page, html):
    opened = open_page(html, "#step=2")
    box = opened.tab.locator("#makes .marks").bounding_box()
    opened.tab.mouse.click(box["x"] + box["width"] - 6, box["y"] + box["height"] - 6)
    assert opened.address.endswith("cell=0,15,15")


def test_a_link_leads_to_its_step_and_cell(open_page, html):
    opened = open_page(html, "#step=29&cell=")
    assert opened.step == 29
    opened = open_page(html, "#step=32&cell=3,2")
    assert opened.step == 32 and "[0, 3, 2]" in opened.text("#arithmetic")
    for nonsense in ("#step=9999", "#step=-3&cell=99,99", "#step=x&cell=y,,", "#"):
        assert open_page(html, nonsense).text("#title")


def test_the_map_shows_what_ran_and_what_arrived_and_a_tied_weight_once(open_page, html, recorded):
    opened = open_page(html, "#step=0")
    assert opened.tab.locator(".row.op.ran").count() == 1 and opened.tab.locator(".row.got").count() == 0
    assert opened.tab.locator(".row.parameter", has_text="wte.weight").count() == 1
    opened.press("End")
    assert opened.tab.locator(".row.parameter:not(.whole)").count() == 0
    fold = opened.tab.locator(".row.scope", has_text="h.0").first
    assert fold.get_attribute("aria-expanded") == "false"
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"


def test_tours_lead_through_steps_of_this_recording(open_page, html):
    opened = open_page(html)
    opened.press("t")
    assert opened.tab.locator("#tour-list button").count() == 8
    for i in range(8):
        if i:
            opened.press("t")
        opened.tab.locator("#tour-list button").nth(i).click()
        stops = int(re.search(r"1/(\d+)", opened.text("#tour"))[1])
        for _ in range(stops):
            assert "left the tour" not in opened.text("#tour")
            assert opened.text("#arithmetic")
            opened.tab.click("[data-tour=next]")
        assert not opened.tab.is_visible("#tour")


def test_predicting_hides_the_answer_and_keeps_score(open_page, html, recorded):
    steps = recorded[0].steps
    opened = open_page(html, "#step=9")  # 9 = 0 (mod 3): a shape
    opened.press("q")
    shape = ", ".join(map(str, steps[9].after.shape))
    assert opened.tab.is_visible("#question input")
    assert shape not in opened.tab.evaluate("document.documentElement.outerHTML")
    assert opened.tab.locator("#makes canvas, #makes output").count() == 0
    opened.tab.fill("#question input", "1, 2")
    opened.press("Enter")
    assert "Not quite" in opened.text("#question .hint") and opened.text("#score").startswith("0 of 0")
    opened.tab.fill("#question input", shape)
    opened.press("Enter")
    assert opened.text("#score").startswith("1 of 1") and not opened.tab.is_visible("#question")
    assert opened.tab.locator("#makes canvas").count()

    value = next(i for i, s in enumerate(steps) if s.phase == "backward" and i % 2 and s.call.op.__name__ == "linear")
    opened.go(value)
    cell = tuple(int(n) for n in re.search(r"\[(.*?)\]", opened.text("#question"))[1].split(","))
    answer = float(steps[value].share[cell])
    text = opened.tab.evaluate("document.body.innerText")
    assert format(abs(answer), ".3g") not in text
    opened.tab.fill("#question input", str(answer * 1.05))
    opened.press("Enter")
    assert opened.text("#score").startswith("2 of 2")


# 9, 10, 11: for everybody, everywhere, at once


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"contrast": "more"}])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_axe_finds_nothing(open_page, html, options, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened = open_page(html, "#step=47&cell=3,2", size=size, **options)
    for act in ([], ["q"], ["q", "/"], ["Escape", "?"], ["Escape", "t"]):
        opened.press(*act)
        found = axe.run(opened.tab)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_window_and_no_row_is_cut(open_page, html, recorded, size):
    opened = open_page(html, size=size)
    for i in range(len(recorded[0].steps)):
        if size[0] < 1280 and i % 4:
            continue
        opened.go(i)
        assert opened.tab.evaluate("document.documentElement.scrollWidth") <= size[0], i
        if size[0] >= 1280:
            main = opened.tab.locator("main").bounding_box()
            boxes = opened.tab.eval_on_selector_all("#receives > *, #makes > *", """all => all.map((card) => {
              const box = card.getBoundingClientRect();
              return [box.right, box.bottom, card.scrollWidth - card.clientWidth];
            })""")
            top = opened.tab.locator("#cell").bounding_box()["y"]
            assert all(right <= main["x"] + main["width"] and bottom <= top for right, bottom, _ in boxes), (i, boxes)
            assert all(over <= 0 for *_, over in boxes), (i, boxes)


def test_size_and_times(open_page, html, recorded, capsys):
    assert len(html.encode()) <= 1_000_000
    start = time.perf_counter()
    to_html(recorded[0])
    made = time.perf_counter() - start
    opened = open_page(html)
    loaded = opened.tab.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    times = opened.tab.evaluate("""() => Array.from({ length: 100 }, () => {
      const start = performance.now();
      document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      document.body.offsetHeight;
      return performance.now() - start;
    }).sort((a, b) => a - b)""")
    with capsys.disabled():
        print(f"\npage {len(html) / 1e6:.2f} MB, made in {made:.1f} s, loaded in {loaded:.0f} ms, "
              f"stepped in {times[50]:.0f} ms (19 of 20 within {times[95]:.0f} ms)")


def test_print_shows_the_step_without_the_controls(open_page, html):
    opened = open_page(html, "#step=47&cell=3,2")
    opened.tab.emulate_media(media="print")
    assert not opened.tab.is_visible("footer") and opened.tab.is_visible("#makes canvas >> nth=0")


def test_it_works_in_an_iframe_without_an_address(open_page, html, recorded):
    around = f'<!doctype html><iframe style="width:1300px;height:800px" srcdoc="{escape(html)}"></iframe>'
    opened = open_page(around)
    frame = opened.tab.frame_locator("iframe")
    frame.locator("[data-do=next]").click()
    assert "step 1 of" in frame.locator("#counter").inner_text()
    assert recorded[0]._repr_html_().startswith("<iframe")
    opened.requests = opened.requests[:1]  # the iframe counts itself


# 13, 14, 15, 16: what is wrong, hostile or odd


def test_a_wrong_backward_is_red_and_linked(open_page, monkeypatch):
    right = OPS["layer_norm"].backward

    @wraps(right)
    def wrong(*arguments):
        dx, dweight, dbias = right(*arguments)
        return 1.1 * dx, dweight, dbias

    monkeypatch.setattr(OPS["layer_norm"], "backward", wrong)
    recording, _ = record(n_layer=1)
    opened = open_page(to_html(recording))
    opened.tab.click("#wrong")
    step = recording.steps[opened.step]
    assert step.phase == "backward" and step.call.op.__name__ == "layer_norm" and step.wrt == 0
    assert opened.tab.locator("#checks .wrong").count() and "layer_norm" in opened.text("#wrong")
    opened.press("ArrowRight")
    assert opened.tab.locator("#checks .wrong").count() == 0


HOSTILE = {  # a token: what is shown of it
    "</script><img src=x onerror=alert(1)>": "</script><img␣src=x␣onerror=alert(1)>",
    "<b>": "<b>",
    "<!--recording-->": "<!--recording-->",
    "\u202eabc": "\\u202eabc",
    "\x00": "␀",
    "🦜": "🦜",
    " ": "␣",
    "\n": "↵",
    "\ud800": "\\ud800",
}


def test_hostile_tokens_are_inert_and_shown(open_page):
    recording, _ = record([*HOSTILE, "<b>"], n_layer=1)
    opened = open_page(to_html(recording))
    opened.press("End", "b")
    assert opened.tab.locator("img, script:not(body > script)").count() == 0
    titles = " ".join(opened.tab.eval_on_selector_all("#tokens button", "all => all.map((button) => button.title)"))
    assert all(f"{shown} (id" in titles for shown in HOSTILE.values()), titles


def test_nan_and_infinities_are_drawn_and_counted(open_page):
    from tinyllm import Tensor
    from tinyllm.tracing import trace

    x = Tensor(np.array([[1.0, np.nan, np.inf], [-np.inf, 0.0, 2.0]], np.float32), requires_grad=True)
    with np.errstate(invalid="ignore"), trace() as recording:
        (x * 2.0).sum().backward()
    opened = open_page(to_html(recording))
    assert "NaN or infinite" in opened.text("#odd")
    assert "1 NaN, 2 infinite" in opened.text("#receives")
    for _ in recording.steps:
        opened.press("ArrowRight")


def test_the_same_recording_gives_the_same_bytes(html):
    assert to_html(record()[0]) == html


def test_a_page_that_would_be_too_large_says_what_to_reduce(recorded, monkeypatch):
    monkeypatch.setattr(page_module, "LARGEST", 100_000)
    with pytest.raises(ValueError, match=r"0\.\d MB, more than 0.*shorter text.*n_embd"):
        to_html(recorded[0])


def test_without_javascript_there_is_a_word(browser, tmp_path, html):
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{path}")
    assert "needs JavaScript" in tab.inner_text("body")
    context.close()
