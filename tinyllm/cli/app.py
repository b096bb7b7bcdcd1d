"""`tinyllm`: which commands there are, and what a user sees when something is wrong."""

import sys

from cyclopts import App, CycloptsError
from cyclopts.config import Toml

from .. import __version__
from ..training.config import preset_path
from .generate import generate
from .train import train

app = App(name="tinyllm", help="A complete small language model in transparent numpy.", version=__version__)
app.command(train)
app.command(generate)


def main(arguments=None):
    """Run a command and leave with its exit code: 0, 2 for a mistake of the user's, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows ? instead
    try:
        preset = _preset(arguments)
        app.config = Toml(preset_path(preset), use_commands_as_keys=False) if preset else ()
        app(arguments, exit_on_error=False, print_error=False)
    except (CycloptsError, ValueError, OSError, ImportError) as error:
        _leave(2, "\n".join([f"tinyllm: {error}", *getattr(error, "__notes__", [])]))
    except KeyboardInterrupt:
        _leave(130, "tinyllm: stopped")


def _preset(arguments):
    """The value of --preset: its file holds defaults, so it is needed before the other flags are read."""
    for flag, value in zip(arguments, [*arguments[1:], ""]):
        if arguments[0] == "train" and (flag == "--preset" or flag.startswith("--preset=")):
            return flag.partition("=")[2] or value
    return None


def _leave(code, message):
    print(message, file=sys.stderr)
    sys.exit(code)
