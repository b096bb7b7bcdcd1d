"""Files that are either whole or not there: written aside, synced, renamed. And JSON, read with care."""

import json
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


def read_json(path, limit=10_000_000):
    """What a JSON file of at most `limit` bytes holds."""
    path = Path(path)
    with open(path, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(f"{path} is larger than {limit:,} bytes; what it should hold is much smaller")
    try:
        return parse_json(raw)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def parse_json(raw):
    """The value of some bytes of JSON, in which no key may stand twice. Whatever else they are is a ValueError."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _without_duplicates(pairs):
    entries = {}
    for name, value in pairs:
        if name in entries:
            raise ValueError(f"{name[:100]!r} stands there twice")
        entries[name] = value
    return entries
