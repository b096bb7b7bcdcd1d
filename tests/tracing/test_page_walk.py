"""Keys, links, pins, find, the map, tours and predictions."""

import re

import numpy as np

from tests.tracing.recordings import OPS, record_examples
from tinyllm.tracing import page as page_module
from tinyllm.tracing.page import to_html

WALK = """([key, count]) => Array.from({ length: count }, () => {
  const nodes = [...document.querySelectorAll("body *")].map((node) => {
    const attributes = [...node.attributes].map((attribute) => `${attribute.name}=${attribute.value}`).sort();
    return [node.tagName, ...attributes, node.children.length ? "" : node.textContent];
  });
  const canvases = [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
  let hash = 0;
  for (const text of [JSON.stringify(nodes), ...canvases]) {
    for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  }
  document.dispatchEvent(new KeyboardEvent("keydown", { key }));
  return hash;
})"""


def test_forth_and_back_through_all_steps_gives_the_same_states(open_page, html, recorded):
    """Of every step the whole document and the pixels of every canvas."""
    opened = open_page(html)
    count = len(recorded[0].steps) + 1
    there = opened.tab.evaluate(WALK, ["ArrowRight", count])
    assert len(set(there)) == count
    assert opened.tab.evaluate(WALK, ["ArrowLeft", count]) == there[::-1]


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


SNIPPET = """() => {
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "c" }));
  const { value } = document.getElementById("snippet");
  document.getElementById("snippet-dialog").close();
  return value;
}"""


def test_the_python_of_a_step_repeats_it_to_the_bit(open_page, monkeypatch, capsys):
    monkeypatch.setattr(page_module, "check_steps", lambda trace: {})
    recording = record_examples(OPS, 2, seed=4)
    steps = {i: step for i, step in enumerate(recording.steps) if step.phase != "seed"}
    opened = open_page(to_html(recording))
    for step, text in zip(steps.values(), opened.at_each(list(steps), SNIPPET)):
        names = {}
        with np.errstate(all="ignore"):
            exec(text, names)
        got, recorded = (names["share"], step.share) if step.phase == "backward" else (names["y"], step.after)
        np.testing.assert_array_equal(got, recorded, err_msg=text)
    opened.press("c")
    assert opened.tab.is_visible("#snippet") and "clipboard" in opened.text("#copied")
    opened.press("Escape")


def test_playing_goes_on_by_itself_until_it_is_stopped(open_page, html):
    opened = open_page(html, "#step=3")
    opened.press(" ")
    opened.tab.locator("#counter", has_text="step 4 of").wait_for()
    opened.press(" ")
    assert opened.tab.get_attribute("[data-do=play]", "aria-pressed") == "false"


def test_escape_lets_a_cell_go_and_m_opens_the_map_on_a_small_screen(open_page, html):
    opened = open_page(html, "#step=4&cell=3,2", size=(900, 700))
    opened.press("Escape")
    assert "until you point" in opened.text("#made-at") and "&cell" not in opened.address
    assert not opened.tab.is_visible("#map-pane")
    opened.press("m")
    assert opened.tab.is_visible("#map-pane")
    opened.press("Escape")
    assert not opened.tab.is_visible("#map-pane")


def test_in_predict_mode_no_step_leaks_its_answer(open_page, html, recorded):
    """Of every step the cell or shape that is asked for stands nowhere in the document, in no format."""
    opened = open_page(html)
    opened.press("q")
    asked = [i for i, step in enumerate(recorded[0].steps) if step.call]
    seen = opened.at_each(asked, """() => {
      const values = [...document.querySelectorAll("input, textarea")].map((input) => input.value);
      return [document.getElementById("question").textContent, document.documentElement.outerHTML + values,
        document.querySelectorAll("#makes canvas, #makes output, #arithmetic .term").length];
    }""")
    for i, (question, document, shown) in zip(asked, seen):
        step = recorded[0].steps[i]
        made = step.share if step.phase == "backward" else step.after
        assert question and not shown, i
        if "shape" in question or not made.size:
            continue
        cell = tuple(int(n) for n in re.search(r"\[(.*?)\]", question)[1].split(",") if n) if "[" in question else ()
        assert f"{abs(made[cell]):.4g}" not in document or abs(made[cell]) in (0, 1), (i, question)
