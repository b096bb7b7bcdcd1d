"""Rows of a JSON list, or of a file with one JSON object a line."""

import json
from pathlib import Path

from .corpora import read_text


def read_rows(path):
    """[(row, where it stands: "data.json, row 3")] for the objects of a JSON list, or of the lines of a .jsonl."""
    text = read_text(path).removeprefix("\ufeff")
    if Path(path).suffix == ".jsonl":
        found = [(_parsed(line, f"{path}, line {n}"), f"{path}, line {n}")
                 for n, line in enumerate(text.split("\n"), 1) if line.strip()]  # fmt: skip
    else:
        rows = _parsed(text, str(path))
        if not isinstance(rows, list):
            raise ValueError(f"{path} must be a list of objects, not {kind(rows)}; one object a line is a .jsonl file")
        found = [(row, f"{path}, row {n}") for n, row in enumerate(rows, 1)]
    if not found:
        raise ValueError(f"{path} holds no rows")
    for row, place in found:
        if not isinstance(row, dict):
            raise ValueError(f"{place} must be an object, not {kind(row)}")
    return found


def kind(value):
    """What a value is, for an error."""
    return "missing" if value is None else f"a {type(value).__name__}"


def _parsed(text, place):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON: {error}") from error
