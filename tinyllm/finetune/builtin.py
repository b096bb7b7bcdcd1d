"""Data to try a fine-tuning on with nothing to download: what every Python carries."""

import inspect
import json
import random
import textwrap

from ..data import python_manual
from .labelled import Example


def code_or_prose(n=400, words=12):
    """n lines of the standard library's code, and n pieces of the manual of about as many characters."""
    lines = [line.strip() for line in library_code().splitlines()]
    code = [line for line in dict.fromkeys(lines) if len(line) >= 20 and line[0] not in "#\"'"]
    tokens = python_manual().split()
    prose = [" ".join(tokens[i : i + words]) for i in range(0, len(tokens), len(tokens) // n)]
    return [Example(text, label, row) for label, texts in (("code", code), ("prose", prose))
            for row, text in enumerate(texts[:: len(texts) // n][:n], 1)]  # fmt: skip


def library_code():
    """Some files of Python's own library, one behind the other: 0.2 megabytes, in ASCII."""
    sources = (inspect.getsource(module) for module in (textwrap, json.decoder, random, inspect))
    return "\n\n".join(sources).encode("ascii", "replace").decode()
