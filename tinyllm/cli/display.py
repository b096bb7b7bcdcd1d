"""How a training is watched: lines, a live picture in a terminal, JSON, or nothing."""

import os
import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .curve import curve
from .text import duration, visible

STOPPING = "stopping after this step; Ctrl-C again stops at once, and keeps the last checkpoint"


def display_for(config, first_step, *, quiet, json):
    """What --quiet and --json ask for; else a live picture where there is a terminal, and lines where there is none."""
    if quiet:
        return Silent()
    if json:
        return Json()
    console = Console()
    live = console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()
    return Picture(config, first_step, console) if live else Lines(config)


class Silent:
    """Says nothing, and what a display is: a context that begins once the run does, and hears each Progress."""

    talks = False  # whether there is room for anything but progress

    def __enter__(self):
        return self

    def begin(self):
        pass

    def __call__(self, progress):
        pass

    def __exit__(self, *error):
        pass

    def stopping(self):
        """Ctrl-C was heard; called from a signal handler, where printing is not safe."""
        os.write(2, f"\n{STOPPING}\n".encode())


class Json(Silent):
    """The objects of metrics.jsonl."""

    def __call__(self, progress):
        print(progress.to_json(), flush=True)


class Lines(Silent):
    """A line now and then, and one for every evaluation."""

    talks = True

    def __init__(self, config):
        self.max_iters, self.every = config.max_iters, max(1, config.max_iters // 40)

    def __call__(self, progress):
        line = (f"step {progress.step:>6,} of {self.max_iters:,}   loss {progress.loss:.4f}   "
                f"learning rate {progress.learning_rate:.2e}   gradient norm {progress.grad_norm:.2f}   "
                f"{progress.tokens_per_second:,.0f} tokens/s")
        if progress.val_loss is not None:
            more = "".join(f"   {name.replace('_', ' ')} {value:.4f}" for name, value in progress.metrics.items())
            print(f"{line}   validation loss {progress.val_loss:.4f}{more}", flush=True)
        elif progress.step % self.every == 0 or progress.step == 1:
            print(line, flush=True)


class Picture(Silent):
    """All of it at a glance, drawn anew four times a second."""

    talks = True

    def __init__(self, config, first_step, console):
        self.max_iters, self.first_step, self.console = config.max_iters, first_step, console
        self.every = max(1, config.max_iters // 500)  # a curve of more points would look the same
        self.start = time.perf_counter()
        self.progress, self.evaluations, self.losses, self.note = None, [], [], ""
        self.live = Live(console=console, get_renderable=self.draw, refresh_per_second=4)

    def begin(self):
        self.live.start()

    def __exit__(self, *error):
        self.note = ""
        self.live.stop()

    def __call__(self, progress):
        self.progress = progress
        if progress.step % self.every == 0:
            self.losses.append((progress.step, progress.loss))
        if progress.val_loss is not None:
            self.evaluations.append(progress)

    def stopping(self):
        self.note = STOPPING

    def draw(self):
        if self.progress is None:
            return Text("the first step …")
        width, narrow = min(self.console.width, 100), self.console.width < 70
        room = self.console.height - (8 if narrow else 5)  # below: the bar, the numbers, a note, the cursor
        height = min(10, room // 2 if room >= 8 else room)  # of the curve
        parts = [self.bar(), self.numbers(narrow)]
        if height >= 3:
            validation = [(p.step, p.val_loss) for p in self.evaluations]
            series = [("dim", self.losses[:]), ("bold cyan", validation)]
            parts.append(curve(series, self.max_iters, width, height))
        if self.evaluations and self.evaluations[-1].sample is not None and room - height >= 4:
            last = self.evaluations[-1]
            parts.append(Panel(Text(visible(last.sample)), title=f"what it wrote after step {last.step:,}",
                               title_align="left", width=width, height=room - height))  # fmt: skip
        if self.note:
            parts.append(Text(self.note, style="yellow", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def bar(self):
        done = self.progress.step - self.first_step
        left = (time.perf_counter() - self.start) / done * (self.max_iters - self.progress.step)
        where, when = f"step {self.progress.step:,} of {self.max_iters:,}", f"{duration(left)} left"
        width = max(3, min(40, self.console.width - len(where) - len(when) - 6))
        line = Table.grid(padding=(0, 2))
        line.add_row(where, ProgressBar(self.max_iters, self.progress.step, width=width), when)
        return line

    def numbers(self, narrow):
        progress = self.progress
        last = self.evaluations[-1] if self.evaluations else None
        numbers = {
            "loss": f"{progress.loss:.4f}",
            "validation loss": f"{last.val_loss:.4f}" if last else "–",
            "learning rate": f"{progress.learning_rate:.2e}",
            "gradient norm": f"{progress.grad_norm:.2f}",
            "tokens/s": f"{progress.tokens_per_second:,.0f}",
        }
        table = Table.grid(padding=(0, 3))
        names = [Text(name, style="dim") for name in numbers]
        styles = ("bold cyan" if name == "validation loss" else "bold" for name in numbers)  # as in the curve
        values = [*map(Text, numbers.values(), styles)]
        for row in zip(names, values) if narrow else (names, values):
            table.add_row(*row)
        return table
