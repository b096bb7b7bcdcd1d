"""The page of a recording in a browser, and its walk in the terminal."""

import sys
import tempfile
import webbrowser
from contextlib import contextmanager
from pathlib import Path


def write_page(recording, path=None, opens=True):
    """Write the page of a recording, to a temporary file if no path is given, and open it; gives its path."""
    path = path or Path(tempfile.mkdtemp(prefix="tinyllm-"), "step.html")
    recording.to_html(path)
    if opens and not webbrowser.open(path.resolve().as_uri()):
        print("no browser was found; open the page in one", file=sys.stderr)
    return path


def run_tui(recording):
    """Walk through a recording in the terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ValueError("--tui needs a terminal to draw in; --plain prints the walk anywhere")
    try:
        from ..tracing.tui import run
    except ModuleNotFoundError as error:
        raise ImportError(f"--tui needs {error.name}: pip install 'tinyllm-numpy[tui]'") from error
    run(recording)


@contextmanager
def stopping_at_nan():
    """`tinyllm.debug.nan()`; where it stops, its page is opened if somebody sits at the terminal, and named if not."""
    from ..debug import NonFiniteError, nan

    try:
        with nan():
            yield
    except NonFiniteError as error:
        try:
            path = write_page(error.trace, opens=sys.stdout.isatty())
            error.add_note(f"step through it: {path}")
        except ValueError as too_large:
            error.add_note(f"there is nothing to step through: {too_large}")
        raise
