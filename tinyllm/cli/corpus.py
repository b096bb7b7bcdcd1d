"""The text that --data names, with a progress bar where it is downloaded."""

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from ..data import python_manual, read_texts


def load_text(sources, quiet=False):
    """The texts of --data as one; without any, the manual of this Python."""
    return read_texts(sources, None if quiet else Bar()) if sources else python_manual()


class Bar:
    """A rich progress bar on standard error, in the form that pooch drives."""

    def __init__(self):
        self.bar = None

    @property
    def total(self):
        return self.bar.tasks[0].total

    @total.setter
    def total(self, size):
        columns = TextColumn("downloading"), BarColumn(), DownloadColumn()
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.bar.add_task("", total=size)
        self.bar.start()

    def update(self, size):
        self.bar.advance(self.bar.tasks[0].id, size)

    def reset(self):
        self.bar.reset(self.bar.tasks[0].id)

    def close(self):
        if self.bar:  # it is closed where nothing was to be fetched, too
            self.bar.stop()
