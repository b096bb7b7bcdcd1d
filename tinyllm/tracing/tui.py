"""The walk through a recording as a terminal application: the keys of the page, the numbers of the page."""

import os

import numpy as np
from rich.text import Text
from textual.app import App
from textual.containers import Horizontal
from textual.widgets import Input, Static

from .arithmetic import equation
from .predict import question
from .scene import PHASES, scene, style
from .tui_widgets import Find, Help, Map, Pane, Timeline
from .walk import Walk, number, visible

MAP_FROM = 100  # columns: a narrower terminal has no room for the map


class Stepper(App):
    """Walk through a Trace; `focus` in its meta says where it begins."""

    TITLE = "tinyllm step"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; background: #1d1f24; color: #e8e6e0; }
    #head { height: 2; background: #262a32; padding: 0 1; }
    #middle { height: 1fr; }
    #map-pane { width: 30; border-right: solid #444b57; display: none; scrollbar-size-vertical: 1; }
    .wide #map-pane { display: block; }
    #main { padding: 0 1; scrollbar-size-vertical: 1; }
    #scene, #map { height: auto; }
    #guess { display: none; height: 3; }
    .asked #guess { display: block; }
    #timeline { height: 2; padding: 0 1; }
    #keys { height: 1; background: #262a32; color: #b9b6ae; padding: 0 1; }
    Find, Help { align: center middle; background: #000000 50%; }
    #dialog { width: 96%; max-width: 100; height: auto; max-height: 80%; border: round #ff9632; padding: 0 1;
              background: #262a32; }
    #dialog OptionList { height: auto; max-height: 14; background: #262a32; }
    """
    BINDINGS = [
        ("right", "arrow(0, 1)"), ("left", "arrow(0, -1)"), ("down", "arrow(1, 0)"), ("up", "arrow(-1, 0)"),
        ("shift+right", "cell(0, 1)"), ("shift+left", "cell(0, -1)"), ("shift+down", "cell(1, 0)"),
        ("shift+up", "cell(-1, 0)"), ("home", "first"), ("end", "last"), ("b", "seed"), ("p", "pair"),
        ("left_square_bracket", "write(-1)"), ("right_square_bracket", "write(1)"), ("slash", "find"),
        ("question_mark", "help"), ("c", "cells"), ("escape", "leave"), ("enter", "follow"), ("Q", "predict"),
        ("q", "quit"), ("pagedown", "scroll_scene(1)"), ("pageup", "scroll_scene(-1)"),
    ]  # fmt: skip
    BINDINGS = [(*binding, "") for binding in BINDINGS]

    def __init__(self, trace, with_torch=True):
        super().__init__()
        self.walk, self.with_torch = Walk(trace), with_torch
        focus = trace.meta.get("focus", {})
        self.index, self.cell = 0, None
        self.begin = focus.get("step", 0), tuple(focus.get("cell", ())) or None
        self.colours = "NO_COLOR" not in os.environ
        self.checks, self.moving, self.predicting = None, False, False
        self.seen, self.right, self.asked, self.hint = set(), 0, 0, ""
        self.map_rows = []

    def compose(self):
        yield Static(id="head")
        with Horizontal(id="middle"):
            with Pane(id="map-pane"):
                yield Map(id="map")
            with Pane(id="main"):
                yield Static(id="scene")
        yield Input(id="guess")
        yield Timeline(id="timeline")
        yield Static(id="keys")

    def on_mount(self):
        self.run_worker(self.check, thread=True)
        self.go(*self.begin)

    def on_resize(self):
        self.set_class(self.size.width >= MAP_FROM, "wide")
        self.call_after_refresh(self.draw)

    def check(self):
        self.checks = self.walk.checks(self.with_torch)
        self.call_from_thread(self.draw)

    # going

    @property
    def stop(self):
        return self.walk.stops[self.index]

    def go(self, index, cell=None):
        """Show a step; the cell stays where it is, if the step's result has such a cell."""
        self.index = max(0, min(index, len(self.walk.stops) - 1))
        shape = np.shape(self.walk.makes(self.stop)[-1].array)
        cell = cell or self.cell
        inside = cell is not None and len(cell) == len(shape) and all(i < n for i, n in zip(cell, shape))
        self.cell = cell if inside else (0,) * len(shape)
        self.hint = ""
        self.query_one("#main").scroll_home(animate=False)
        self.draw()

    def action_arrow(self, down, right):
        if self.moving:
            self.action_cell(down, right)
        elif right:
            self.go(self.index + right)
        else:
            self.go(self.walk.over(self.index, down))

    def action_cell(self, down, right):
        """Move the cell by a row or a column of the matrix of all rows."""
        shape = np.shape(self.walk.makes(self.stop)[-1].array)
        if not np.prod(shape) or not shape:
            return
        row = int(np.ravel_multi_index(self.cell[:-1], shape[:-1])) if len(shape) > 1 else 0
        rows = int(np.prod(shape[:-1]))
        row, column = max(0, min(row + down, rows - 1)), max(0, min(self.cell[-1] + right, shape[-1] - 1))
        leading = tuple(map(int, np.unravel_index(row, shape[:-1]))) if len(shape) > 1 else ()
        self.cell = (*leading, column)
        self.draw()

    def action_first(self):
        self.go(0)

    def action_last(self):
        self.go(len(self.walk.stops) - 1)

    def action_seed(self):
        self.go(self.walk.seed(self.index))

    def action_pair(self):
        self.go(self.walk.pair(self.index))

    def action_write(self, direction):
        self.go(self.walk.write(self.index, direction))

    def action_cells(self):
        self.moving = not self.moving
        self.draw()

    def action_leave(self):
        self.moving = False
        self.set_focus(None)
        self.draw()

    def action_scroll_scene(self, direction):
        self.query_one("#main").scroll_relative(y=direction * self.query_one("#main").size.height, animate=False)

    def action_help(self):
        self.push_screen(Help())

    def action_find(self):
        self.push_screen(Find(), lambda index: None if index is None else self.go(index))

    def action_follow(self):
        """To the step that made the largest term's number."""
        found = None if self.asks() else equation(self.walk, self.stop, self.cell)
        if found is None or not found.terms or found.largest.source is None:
            return
        value, index, gradient = found.largest.source
        phases = ("seed", "backward") if gradient else ("forward", "loss", "after")
        made = [s.index for s in self.walk.stops[: self.index] if s.step.value is value and s.phase in phases]
        if made:
            self.go(made[-1], index)
        else:
            self.notify(f"{value.name} was there from the beginning: the trail ends here")

    # predicting

    def asks(self):
        """The question that hides the result of this step, or None."""
        return question(self.walk, self.stop) if self.predicting and self.index not in self.seen else None

    def action_predict(self):
        self.predicting = not self.predicting
        self.draw()

    def on_input_submitted(self, event):
        asked = self.asks()
        if not asked:
            return
        event.input.value = ""
        if asked.is_right(event.value) or not event.value.strip():
            self.seen.add(self.index)
            self.asked += 1
            self.right += bool(event.value.strip())
            self.set_focus(None)
            self.hint = ""
        else:
            self.hint = "Not quite: look at the formula and at what it receives. An empty answer shows it.  "
        self.draw()

    # showing

    def draw(self):
        asked = self.asks()
        self.screen_stack[0].set_class(asked is not None, "asked")
        main = self.query_one("#main")
        width = max(40, main.scrollable_content_region.width or self.size.width - 4)
        self.query_one("#head").update(self.head(self.size.width - 2))
        body = scene(self.walk, self.stop, self.cell, width, self.colours, self.checks, hidden=asked is not None)
        if asked:
            body = Text(f"{self.hint}{asked.text}\n\n", style="bold") + body
            self.query_one("#guess").focus()
        self.query_one("#scene").update(body)
        if self.has_class("wide"):
            self.draw_map()
        self.query_one("#timeline").update(self.timeline(self.size.width - 2))
        score = f"   {self.right} of {self.asked} predicted" if self.predicting else ""
        arrows = "arrows move the cell, Esc ends" if self.moving else "←→ step ↑↓ module C cell"
        keys = f"{arrows} P pair [ ] writes / find Q predict ? help q quit{score}"
        self.query_one("#keys").update(Text(keys, no_wrap=True, overflow="ellipsis"))

    def head(self, width):
        """Two lines: phase, number and title of the step; the tokens and the loss."""
        stop, last = self.stop, len(self.walk.stops) - 1
        first = Text.assemble((f" {stop.phase.upper()} ", style(f"{PHASES[stop.phase]} reverse", self.colours)),
                              f" step {stop.index} of {last}  ", (self.walk.title(stop), "bold"))  # fmt: skip
        tokens = (self.walk.trace.text or {}).get("tokens", [])
        second = Text(" ".join(map(visible, tokens)), style="dim")
        loss = next((s.step.after for s in self.walk.stops if s.phase == "loss" and s.index <= stop.index), None)
        if loss is not None and loss.size == 1:
            second = Text(f"loss {number(float(loss))}  ", style="bold") + second
        for line in (first, second):
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join([first, second])

    def timeline(self, width):
        stops = self.walk.stops
        line, dots = Text(), Text()
        for x in range(width):
            covered = stops[x * len(stops) // width : max((x + 1) * len(stops) // width, x * len(stops) // width + 1)]
            here = any(s.index == self.index for s in covered)
            sign = "█" if here else "━" if self.colours else covered[0].phase[0]
            line.append(sign, style="bold" if here else style(PHASES[covered[0].phase], self.colours))
            adds = any(s.phase == "backward" and s.step.nth > 1 for s in covered)
            dots.append("•" if adds else " ")
        return Text("\n").join([line, dots])

    def draw_map(self):
        """One row a module that is entered, one an op; the step's own is marked and kept in sight."""
        walk, here = self.walk, self.stop
        arrived = {s.step.value for s in walk.stops[: self.index + 1] if s.phase in ("seed", "backward")}
        lines, self.map_rows, scope = [], [], None
        for s in walk.stops:
            call = s.step.call
            if call is None or s.phase not in ("forward", "loss"):
                continue
            if call.scope != scope:
                scope = call.scope
                lines.append(Text(f"{'  ' * scope.count('.')}{scope or walk.modules.get('', '')}", style="bold"))
                self.map_rows.append(s.index)
            got, ran = call.output in arrived, s.index <= self.index
            dot = style("dark_orange" if got else "dodger_blue1", self.colours) if ran else "dim"
            name = f"{walk.label[call.output]} = {call.op.__name__}"
            line = Text("  " * (scope.count(".") + 1)).append("◆" if got else "●" if ran else "○", style=dot)
            line.append(f" {name}", style="reverse" if here.step.call is call else "" if ran else "dim")
            lines.append(line)
            self.map_rows.append(s.index)
            if here.step.call is call:
                row = len(lines) - 1
        for line in lines:
            line.truncate(28, overflow="ellipsis")
        self.query_one("#map").update(Text("\n").join(lines))
        if here.step.call in [s.step.call for s in walk.stops if s.phase in ("forward", "loss")] and here.step.call:
            pane = self.query_one("#map-pane")
            pane.scroll_to(y=max(0, row - pane.size.height // 2), animate=False)


def run(trace):
    """Walk through a recording until q is pressed."""
    Stepper(trace).run()
