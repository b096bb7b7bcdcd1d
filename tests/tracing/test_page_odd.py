"""What is hostile, odd or too large."""

import numpy as np
import pytest

from tests.tracing.recordings import record
from tinyllm import Tensor
from tinyllm.tracing import page as page_module
from tinyllm.tracing import trace
from tinyllm.tracing.page import to_html

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
