"""The reprs in a notebook: what they draw, in which colours, and that no text becomes markup."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tinyllm
from tinyllm import GPT, GPTConfig, Tensor, nn
from tinyllm.display import picture
from tinyllm.display.html import LARGE

PAGE = Path(tinyllm.__file__).parent / "tracing/page/heatmap.js"
RANDOM = np.random.default_rng(0)


def parsed(x):
    return ElementTree.fromstring(x._repr_html_())


def said(tree):
    return " ".join(" ".join(text for text in tree.itertext() if not text.startswith(".tinyllm-repr")).split())


def drawn(svg):
    """{(kind, opacity)} -> how many cells have it."""
    paths = svg.findall("path[@opacity]")
    return {(path.get("class"), float(path.get("opacity"))): path.get("d").count("M") for path in paths}


def test_each_number_is_a_cell_and_its_distance_from_0_the_fullness_of_its_colour():
    heat, bars = parsed(Tensor([[-1.0, -0.5, 0.0], [0.25, 1.0, 1.0]])).findall(".//svg")
    half, quarter = (float(f"{np.ceil(24 * number**0.8) / 24:.3g}") for number in (0.5, 0.25))
    assert drawn(heat) == {("below", 1): 1, ("below", half): 1, ("above", quarter): 1, ("above", 1): 2}
    assert [text.text for text in heat.findall("text")] == ["−1", "−0.5", "0", "0.25", "1", "1"]
    assert [text.text for text in bars.findall("text")] == ["−1", "1"]
    assert "drawn" not in said(parsed(Tensor(np.ones((24, 48)))))


def test_the_weight_of_a_colour_is_the_pages():
    script = PAGE.read_text("utf-8")
    assert "Math.abs(position) ** 0.8" in script
    style = Path(picture.__file__).with_name("style.css").read_text("utf-8")
    for name, ours in {"above": "above", "below": "below", "zero": "pane"}.items():
        light, dark = (" ".join(numbers.split(", ")) for numbers in re.findall(rf"{name}: \[(.*?)\]", script)[:2])
        assert f"--{ours}: light-dark(rgb({light}), rgb({dark}))" in style


def test_the_bars_count_the_numbers():
    numbers = RANDOM.standard_normal(5000)
    bars = parsed(Tensor(numbers)).findall(".//svg")[1].findall("rect[@class='bar']")
    times = np.histogram(numbers, 40)[0]
    assert [int(bar.get("height")) for bar in bars] == np.ceil(40 * times / times.max()).tolist()


def test_the_gradient_stands_beside():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert len(parsed(x).findall(".//figure")) == 1
    (x * x).sum().backward()
    value, gradient = parsed(x).findall(".//figure")
    assert "gradient" in said(gradient) and "2 … 4, mean 3" in said(gradient)


def test_nan_and_infinities_are_marked_and_counted():
    few = parsed(Tensor([[1.0, np.nan, np.inf], [-np.inf, 0.0, 2.0]]))
    assert "0 … 2, mean 1, 1 zero 1 NaN, 2 infinite" in said(few)
    many = np.zeros((10, 10), np.float32)
    many[0, :4] = np.nan, np.inf, -np.inf, 7
    heat = parsed(Tensor(many)).find(".//svg")
    assert drawn(heat) == {("odd", 1): 3, ("above", 1): 1}
    assert [mark.get("d").count("M") for mark in heat.findall("path[@class='mark']")] == [2, 2, 1]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (3, 0), (2, 0, 3), (0, 2, 3), (70,), (2, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_every_shape_and_dtype_can_be_drawn(shape, dtype):
    tree = parsed(Tensor(np.ones(shape, dtype)))
    assert f"{shape} · {dtype}" in said(tree)
    assert sum(drawn(tree.find(".//svg")).values()) == np.prod(np.minimum((1, 1, *shape)[-2:], LARGE[1:])) * min(
        np.prod(shape[:-2], dtype=int), LARGE[0]
    )


def test_of_a_large_tensor_it_says_what_is_not_drawn():
    numbers = RANDOM.standard_normal((4, 2, 30, 100))
    tree = parsed(Tensor(numbers))
    assert "drawn are the first 3 of 8 matrices, 24 of 30 rows, 48 of 100 columns" in said(tree)
    assert f"{numbers.min():.4g} … {numbers.max():.4g}" in said(tree)  # of all of it
    assert len(Tensor(numbers)._repr_html_()) < 80_000
    assert "32 of 70 numbers" in said(parsed(nn.LayerNorm(70)))


def test_of_very_many_numbers_the_histogram_takes_a_part(monkeypatch):
    numbers = (np.arange(1001) % 11 == 0).astype(np.float32)
    for sample, shares in (1001, [40, 4]), (100, [0, 40]):
        monkeypatch.setattr(picture, "SAMPLE", sample)
        tree = parsed(Tensor(numbers))
        bars = tree.findall(".//svg")[1].findall("rect[@class='bar']")
        assert [int(bar.get("height")) for bar in (bars[0], bars[-1])] == shares
        assert ("the histogram is of every 11th number" in said(tree)) == (sample == 100)


@pytest.mark.parametrize("numbers", [[-1.7e308, 1.7e308], [5e-324, 1e-323], [-1.0, np.inf], [1e300, 1e-300]])
def test_numbers_at_the_ends_of_the_range_are_drawn(numbers):
    tree = parsed(Tensor(np.array(numbers)))
    assert len(tree.findall(".//rect[@class='bar']")) == (40 if np.isfinite(numbers).all() else 0)
    assert not tree.findall(".//rect[@class='odd']")


def test_a_module_unfolds_to_its_parameters():
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=2, n_head=1, n_embd=4), seed=0)
    tree = parsed(model)
    heads = ["".join(summary.itertext()) for summary in tree.iter("summary")]
    count = sum(p.data.size for p in model.parameters())
    assert heads[0] == f"GPT() {count:,}" and "(attn): CausalSelfAttention(n_head=1) 80" in heads
    assert len(tree.findall(".//figure")) == len(list(model.parameters()))
    assert "weight (5, 4) tied to wte.weight" in said(tree)
    opened = [details for details in tree.iter("details") if details.get("open") is not None]
    assert len(opened) == 5  # the model, and what stands right below it and has something to show
    assert tree.find("details/details/details/details/details/summary/span").text == "(c_attn): Conv1D(4, 12)"


def test_names_are_text():
    class Layer(nn.Module):
        def extra_repr(self):
            return "<img src=x onerror=alert(1)>"

    layer = Layer()
    setattr(layer, "<script>", nn.Parameter(np.ones(2, np.float32)))
    html = layer._repr_html_() + getattr(layer, "<script>")._repr_html_()
    assert "<img" not in html and "<script" not in html
    assert "Layer(<img src=x onerror=alert(1)>)" in said(parsed(layer))


SCHEMES = {  # what surrounds the output: the colours it takes
    ("light", "<body>"): "light",
    ("dark", "<body>"): "dark",
    ("light", '<body data-jp-theme-light="false">'): "dark",
    ("dark", '<body data-jp-theme-light="true">'): "light",
    ("light", '<body class="vscode-dark">'): "dark",
    ("light", '<body class="dark">'): "dark",
}


def test_it_has_the_colours_of_its_surroundings_and_no_part_overflows(browser):
    x = Tensor(RANDOM.standard_normal((2, 30, 60)), requires_grad=True)
    (x * x).sum().backward()
    for (scheme, body), expected in SCHEMES.items():
        tab = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 844})
        complaints = []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.set_content(f"<!doctype html>{body}{x._repr_html_()}{nn.Linear(40, 20)._repr_html_()}")
        colours = tab.evaluate("""() => ["above", "below"].map((kind) =>
            getComputedStyle(document.querySelector(`path.${kind}`)).stroke)""")
        light, dark = (["rgb(191, 67, 0)", "rgb(11, 84, 166)"], ["rgb(255, 150, 50)", "rgb(90, 175, 255)"])
        assert colours == (light if expected == "light" else dark), (scheme, body)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.locator("summary").last.click()
        assert not complaints
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme, browser):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    parts = [Tensor(RANDOM.standard_normal((2, 30, 60))), Tensor([[1.0, np.nan], [-2.0, 0.0]]), nn.Linear(40, 20)]
    head = '<title>Tensors</title><meta name="color-scheme" content="light dark">'
    body = "".join(part._repr_html_() for part in parts)
    tab = browser.new_page(color_scheme=scheme)
    tab.set_content(f'<!doctype html><html lang="en">{head}<main><h1>Tensors</h1>{body}</main>')
    found = axe.run(tab)
    tab.close()
    assert found.violations_count == 0, found.generate_report()
