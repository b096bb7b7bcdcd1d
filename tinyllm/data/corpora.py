"""Texts to train on: a file of yours, or the manual that comes with Python."""

from pathlib import Path


def read_text(path):
    """The text of a UTF-8 file exactly as it stands there: line ends (also \\r\\n) and a byte-order mark are kept."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a directory; give the path of one text file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give the path of a text file")
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path} is empty; give a file with text in it")
    nul = content.find(b"\0")
    if nul >= 0:
        raise ValueError(f"{path} is not UTF-8 text: byte 0x00 at offset {nul}; is it binary, or UTF-16?")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte 0x{content[error.start]:02x} at offset {error.start}; "
                         "save it as UTF-8") from error


def python_manual():
    """The language reference that Python's help() shows: half a megabyte of English with nothing to download.

    Every Python version (and distribution) has its own: 3.11 has 465,048 characters.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError("this Python carries no pydoc_data (its manual); give a text file: --data PATH") from error
    return "\n".join(topics[name] for name in sorted(topics))
