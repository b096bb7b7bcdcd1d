"""Files that are either whole or not there: written aside, synced, renamed."""

import os
from pathlib import Path


def replace_file(path, write):
    """Put a new file at `path` in one instant: write(aside) fills a file beside it, which then takes its name.

    Whatever interrupts it (a kill, no space, no power), `path` is the old file or the new one, never a part of one.
    """
    path = Path(path)
    aside = path.with_name(path.name + ".tmp")
    try:
        write(aside)
        sync(aside)
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)  # it may be what filled the disk
        raise
    if os.name == "posix":
        sync(path.parent)  # the new name, too, is on the disk


def replace_text(path, text):
    """`replace_file` with a text, in UTF-8."""
    replace_file(path, lambda aside: aside.write_text(text, encoding="utf-8", newline="\n"))


def sync(path):
    """Wait until what was written to a file (or, on POSIX, to a folder's list of names) is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
