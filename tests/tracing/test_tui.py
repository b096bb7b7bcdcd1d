"""The terminal walks through the same recording, with the keys of the page, at any size, in colour and without."""

import asyncio
import base64
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from html import unescape
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from tests.tracing.recordings import record, record_every_op
from tinyllm import Tensor, ops
from tinyllm.cli import main
from tinyllm.tracing import trace
from tinyllm.tracing.scene import scene
from tinyllm.tracing.terminal import show
from tinyllm.tracing.walk import Walk, number

pytest.importorskip("textual")
from tinyllm.tracing.tui import Find, Help, Stepper  # noqa: E402

STEP = record()[0]
SIZES = [(80, 24), (120, 40)]


def drive(recording, play, size=(120, 40)):
    """Run play(app, pilot) in a terminal of this size."""

    async def run():
        app = Stepper(recording, with_torch=False)
        async with app.run_test(size=size) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()
            return await play(app, pilot)

    with ThreadPoolExecutor(1) as thread:  # of its own: playwright's loop may be running in this one
        return thread.submit(copy_context().run, asyncio.run, run()).result()


def screen(app):
    """The text on the screen, line after line."""
    svg = app.export_screenshot()
    rows = {}
    for y, text in re.findall(r'<text[^>]*? y="([\d.]+)"[^>]*?clip-path="[^"]*"[^>]*>(.*?)</text>', svg):
        rows.setdefault(float(y), []).append(unescape(text).replace("\xa0", " "))
    return "\n".join("".join(rows[y]) for y in sorted(rows))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_walk_forth_and_back_shows_the_same(size):
    async def play(app, pilot):
        there = []
        for _ in app.walk.stops:
            there.append(app.query_one("#scene").visual.plain + screen(app))
            await pilot.press("right")
        back = []
        for _ in app.walk.stops:
            back.append(app.query_one("#scene").visual.plain + screen(app))
            await pilot.press("left")
        assert app.index == 0
        return there, back[::-1]

    with trace() as recording:
        x, weight = Tensor(np.eye(3, 4) + 0.1, requires_grad=True), Tensor(np.full((4, 2), 0.3), requires_grad=True)
        y = ops.linear(x, weight)
        loss = (ops.layer_norm(y) * y).exp().mean()
        loss.backward()
    there, back = drive(recording, play, size)
    assert len(set(there)) == len(there) == 13
    assert there == back


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_title_sum_and_keys_are_seen_at_once(size):
    async def play(app, pilot):
        step = next(s for s in app.walk.stops if s.phase == "backward" and s.step.nth == 2)
        app.go(step.index)
        await pilot.pause()
        return screen(app), step

    text, step = drive(STEP, play, size)
    lines = text.splitlines()
    assert f"step {step.index} of 119  dx₆ += share from layer_norm" in lines[0] and "BACKWARD" in lines[0]
    assert "t o ␣ b e" in lines[1] and "loss" in lines[1]
    for label, array in (("before", step.step.before), ("+ this share", step.step.share), ("= after", step.step.after)):
        [row] = [line for line in lines if re.search(rf"{re.escape(label)} +-?[\d.]+", line)]
        shown = re.findall(r"-?[\d.]+(?:e-\d+)?", row.partition(label)[2])
        assert shown[:4] == [number(x) for x in array[0, 0, :4].tolist()]
    assert "? help q quit" in lines[-1]
    assert all(("│" in line) == (size[0] >= 100) for line in lines[2:10])  # the map


def test_the_keys():
    async def play(app, pilot):
        async def at(*keys):
            await pilot.press(*keys)
            return app.index

        last, walk = len(app.walk.stops) - 1, app.walk
        assert [await at(key) for key in ("right", "right", "left", "end", "right", "home", "left")] == [
            1, 2, 1, last, last, 0, 0]  # fmt: skip
        seed = await at("b")
        assert walk.stops[seed].phase == "seed"
        back = await at("right")
        assert walk.stops[await at("p")].phase == "loss" and await at("p") == back
        app.go(next(s.index for s in walk.stops if s.step.value and s.step.value.name == "wte.weight"
                    and s.phase == "backward"))  # fmt: skip
        first = app.index
        second = await at("right_square_bracket")
        assert walk.stops[second].step.nth == 2 and await at("left_square_bracket") == first
        app.go(0)
        scopes = []
        for _ in range(6):
            scopes.append(walk.stops[await at("down")].step.call.scope)
        assert scopes[:3] == ["", "h.0.ln_1", "h.0.attn.c_attn"]
        for _ in range(6):
            await at("up")
        assert app.index == 0

    drive(STEP, play)


def test_the_cell_moves_and_its_largest_term_is_followed():
    async def play(app, pilot):
        app.go(next(s.index for s in app.walk.stops if s.step.call and s.step.call.op is ops.linear))
        await pilot.press("c", "right", "down", "right", "up", "escape", "shift+down", "shift+right")
        assert app.cell == (0, 1, 3)
        assert "qkv₁[0, 1, 3] = " in app.query_one("#scene").visual.plain
        here = app.index
        await pilot.press("enter")
        assert app.walk.label[app.stop.step.value] == "ln_1₁" and app.index == here - 1 and app.cell[:2] == (0, 1)

    drive(STEP, play)


def test_find_and_help():
    async def play(app, pilot):
        await pilot.press("slash")
        assert isinstance(app.screen, Find)
        await pilot.press(*"gelu", "enter")
        await pilot.pause()
        assert "gelu" in app.walk.title(app.stop)
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help) and "predict, then see" in screen(app)
        await pilot.press("escape", "slash", *"nothing like that", "enter")
        await pilot.pause()
        assert "gelu" in app.walk.title(app.stop) and not isinstance(app.screen, Find)

    drive(STEP, play)


def test_predictions_leak_nothing_and_are_counted():
    async def play(app, pilot):
        await pilot.press("Q")
        kinds = set()
        for stop in app.walk.stops[:3] + app.walk.stops[32:34]:
            app.go(stop.index)
            await pilot.pause()
            asked = app.asks()
            if asked is None:
                continue
            kinds.add(asked.kind)
            text = app.query_one("#scene").visual.plain
            assert asked.text in text and "▸ makes" not in text and "this share" not in text.replace(asked.text, "")
            if asked.kind == "value":
                assert number(asked.answer) not in text
            wrong = {"shape": "1, 99", "sign": "-" if asked.answer > 0 else "+", "value": "12345"} \
                if asked.kind != "shape" else {"shape": "1, 99"}  # fmt: skip
            await pilot.press(*wrong[asked.kind].replace(" ", ""), "enter")
            await pilot.pause()
            assert "Not quite" in app.query_one("#scene").visual.plain
            right = {"sign": lambda: "+" if asked.answer > 0 else "-", "value": lambda: f"{asked.answer:.7g}",
                     "shape": lambda: ",".join(map(str, asked.answer))}[asked.kind]()  # fmt: skip
            app.query_one("#guess").value = right
            await pilot.press("enter")
            await pilot.pause()
            assert app.asks() is None and "Not quite" not in app.query_one("#scene").visual.plain
        assert kinds == {"shape", "sign", "value"} and app.right == app.asked > 3

    drive(STEP, play)


def test_without_colours_signs_tell(monkeypatch):
    async def play(app, pilot):
        app.go(next(s.index for s in app.walk.stops if s.phase == "backward" and s.step.nth == 2))
        await pilot.pause()
        svg = app.export_screenshot()
        return screen(app), {colour for colour in re.findall(r"fill: #([0-9a-f]{6})", svg)}

    monkeypatch.setenv("NO_COLOR", "1")
    text, colours = drive(STEP, play, (80, 24))
    assert re.search(r"[-+=#·]{16} \+ [-+=#·]{16} = [-+=#·]{16}", text) and "▀" not in text
    assert all(c[:2] == c[2:4] == c[4:] or c == "c5c8c6" for c in colours), colours  # grey, all of it


@pytest.mark.parametrize("width, colours", [(60, True), (200, False)])
def test_every_op_can_be_shown(width, colours):
    walk = Walk(record_every_op())
    for stop in walk.stops:
        array = walk.makes(stop)[-1].array
        cell = tuple(n - 1 for n in array.shape)
        text = scene(walk, stop, cell, width, colours, {}).plain
        assert f"{number(np.asarray(array)[cell].item())}" in text and walk.formula(stop)[0] in text


def test_what_is_not_finite_and_what_is_empty_can_be_walked():
    x = Tensor(np.array([[np.nan, np.inf, -np.inf, 1.0]]), requires_grad=True)
    with trace() as odd, np.errstate(all="ignore"):
        (x * 2.0).exp().sum().backward()
    with trace() as empty:
        Tensor(np.ones((0, 3)), requires_grad=True).exp().sum().backward()

    async def play(app, pilot):
        seen = ""
        for stop in app.walk.stops:
            app.go(stop.index)
            await pilot.press("c", "down", "right", "escape")
            seen += app.query_one("#scene").visual.plain
        return seen

    assert "1 NaN  2 infinite" in drive(odd, play, (80, 24))
    assert "(0, 3): no number" in drive(empty, play, (80, 24))


def test_hostile_text_is_shown_and_does_nothing():
    tokens = ["[red]", "</script>", "\x1b[2J", "\u202e", "😀", "\n", "\0", "[/]", " "]

    async def play(app, pilot):
        for _ in range(5):
            await pilot.press("right")
        return screen(app)

    text = drive(record(tokens, n_layer=1)[0], play)
    assert "[red] </script> ␛[2J \\u202e 😀 ↵ ␀" in text.replace("&amp;", "&") and "\x1b" not in text


def test_it_begins_where_the_recording_says():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with trace() as recording:
        x.exp().sum().backward()
    recording.meta["focus"] = {"step": 4, "cell": [1, 2]}

    async def play(app, pilot):
        return app.index, app.cell

    assert drive(recording, play) == (4, (1, 2))


# one recording, three faces


def decoded(packed):
    dtype = {"f4": np.float32, "i4": np.int32, "b1": np.uint8}[packed["dtype"]]
    return np.frombuffer(base64.b64decode(packed["data"]), dtype).reshape(packed["shape"])


def made_in_json(recorded):
    """{index of a step: the array it makes}, from the JSON alone."""
    values = [decoded(value["array"]) for value in recorded["values"]]
    sums, made = {}, {}
    for i, step in enumerate(recorded["steps"]):
        if step["phase"] == "forward":
            made[i] = values[recorded["calls"][step["call"]]["output"]]
        if step["phase"] in ("seed", "update"):
            made[i] = decoded(step["after"])
        if step["phase"] == "backward":
            share, before = decoded(step["share"]), sums.get(step["value"])
            made[i] = share if before is None else before + share
        if step["phase"] in ("seed", "backward"):
            sums[step["value"]] = made[i]
    return made


def test_json_plain_and_tui_show_the_same_numbers():
    made = made_in_json(json.loads(STEP.to_json()))
    printed = Console(file=StringIO(), highlight=False, soft_wrap=True, no_color=True)
    show(STEP, printed)
    paragraphs = re.split(r"\n\n(?=step )", printed.file.getvalue())
    assert len(paragraphs) == len(STEP.steps) + 1  # with the loss after

    async def play(app, pilot):
        for i, array in made.items():
            app.go(i)
            scene = app.query_one("#scene").visual.plain
            first = [number(x) for x in np.atleast_1d(array.reshape(-1, array.shape[-1])[0] if array.ndim else array)
                     .tolist()[:4]]  # fmt: skip
            label = re.escape(app.walk.makes(app.stop)[-1].title[:13])
            [row] = re.findall(rf"^{label} +((?:-?[\d.]+(?:e[-+]\d+)? *)+)$", scene, re.MULTILINE)
            assert row.split()[:4] == first, app.walk.title(app.stop)
            assert paragraphs[i].startswith(f"step {i} of 119 {app.stop.phase}  {app.walk.title(app.stop)}")
            assert f" {' '.join(f'{x:>9}' for x in first)}" in paragraphs[i]

    drive(STEP, play)


def test_the_page_shows_the_same_titles_and_numbers(browser, tmp_path):
    STEP.to_html(tmp_path / "step.html")
    walk, made = Walk(STEP), made_in_json(json.loads(STEP.to_json()))
    tab = browser.new_page()
    for stop in (*walk.stops[:12:3], *walk.stops[28:60:3], walk.stops[95], walk.stops[-1]):
        cell = (0,) * np.ndim(walk.makes(stop)[-1].array)
        tab.goto(f"file://{tmp_path}/step.html?{stop.index}#step={stop.index}&cell={','.join(map(str, cell))}")
        assert tab.inner_text("#title") == walk.title(stop)
        assert tab.inner_text("#phase").startswith({"after": "LOSS AFTER"}.get(stop.phase, stop.phase.upper()))
        if stop.index in made and stop.phase != "clip":
            shown = tab.locator("#arithmetic .sum b").first.inner_text().replace("−", "-")
            assert float(shown) == pytest.approx(float(made[stop.index][cell]), rel=1e-3, abs=1e-9)
    tab.close()


# the command


def test_where_there_is_no_terminal_it_says_so(capsys):
    with pytest.raises(SystemExit, check=lambda leaving: leaving.code == 2):
        main(["step", "to be", "--tui"])
    assert "--tui needs a terminal to draw in; --plain prints the walk anywhere" in capsys.readouterr().err


def test_without_textual_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    for name in ("tui", "tui_widgets"):
        monkeypatch.delitem(sys.modules, f"tinyllm.tracing.{name}")
    with pytest.raises(SystemExit, check=lambda leaving: leaving.code == 2):
        main(["step", "to be", "--tui"])
    assert "pip install 'tinyllm-numpy[tui]'" in capsys.readouterr().err


def test_the_walk_has_a_title_for_every_step_and_finds_it():
    walk = Walk(record_every_op())
    for stop in walk.stops:
        assert stop in walk.find(walk.title(stop)) and walk.subtitle(stop) is not None and walk.formula(stop)[0]
