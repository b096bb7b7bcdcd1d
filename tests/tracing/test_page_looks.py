"""For everybody, everywhere, at once: no barrier, nothing cut; in an iframe, on paper, without scripts; its times."""

import time
from html import escape

import pytest

from tinyllm.tracing.page import to_html

SIZES = [(1440, 900), (1280, 720), (1024, 768), (768, 1024), (390, 844)]

FIT = """() => {
  const main = document.querySelector("main").getBoundingClientRect();
  return {
    width: document.documentElement.scrollWidth,
    right: main.right,
    bottom: document.getElementById("cell").getBoundingClientRect().top,
    cards: [...document.querySelectorAll("#receives > *, #makes > *")].map((card) => {
      const box = card.getBoundingClientRect();
      return [box.right, box.bottom, card.scrollWidth - card.clientWidth];
    }),
  };
}"""


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
    steps = range(len(recorded[0].steps) + 1)
    for i, seen in enumerate(open_page(html, size=size).at_each(steps, FIT)):
        assert seen["width"] <= size[0], i
        if size[0] >= 1280:
            for right, bottom, over in seen["cards"]:
                assert right <= seen["right"] and bottom <= seen["bottom"] and over <= 0, (i, seen)


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
