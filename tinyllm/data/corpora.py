"""Texts to train on: files of yours, one that is downloaded, or the manual that comes with Python."""

import difflib
import os
from contextlib import closing, nullcontext
from pathlib import Path

DOWNLOADS = {  # name: address, sha256
    "shakespeare": (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}


def read_text(path):
    """The text of a UTF-8 file exactly as it stands there: line ends (also \\r\\n) and a byte-order mark are kept."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; read_texts reads the .txt files below one")
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


def read_texts(sources, progress=None):
    """The texts of several sources as one, an empty line between two.

    A source is a UTF-8 file, a folder (the .txt files below it, sorted by path) or, where no file has that name,
    a name in DOWNLOADS; progress as in `download`.
    """
    paths = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(path.rglob("*.txt"))
            if not found:
                raise ValueError(f"{path} is a folder without .txt files; give a folder with some, or files by name")
            paths += found
        elif not path.exists() and source in DOWNLOADS:
            paths.append(download(source, progress))
        elif "://" in source:
            raise ValueError(f"{source} is an address; download it, and give the path of the file")
        elif not path.exists() and (close := difflib.get_close_matches(source, DOWNLOADS, n=1)):
            raise FileNotFoundError(f"{path}: no such file; did you mean {close[0]!r}, which is downloaded?")
        else:
            paths.append(path)
    return "\n\n".join(read_text(path) for path in paths)


def download(name, progress=None):
    """The file of a name in DOWNLOADS, which is fetched once, checked and kept ($TINYLLM_CACHE, or the user's cache).

    progress: shows how far it is; an object with `total`, update(bytes), reset() and close(), as pooch takes them.
    """
    address, sha256 = DOWNLOADS[name]
    try:
        import pooch
    except ImportError as error:
        raise ImportError(f"to download {name!r}: pip install 'tinyllm-numpy[data]'; or fetch {address} yourself and "
                          "give its path with --data") from error
    import logging

    pooch.get_logger().setLevel(logging.WARNING)  # it would print where it puts the file
    folder = os.environ.get("TINYLLM_CACHE") or pooch.os_cache("tinyllm")
    downloader = pooch.HTTPDownloader(progressbar=progress or False, timeout=30)
    try:
        with closing(progress) if progress else nullcontext():
            return Path(pooch.retrieve(address, f"sha256:{sha256}", f"{name}.txt", folder, downloader=downloader))
    except ValueError as error:
        raise ValueError(f"{address} is not the text that was expected: its sha256 is not {sha256}; something on the "
                         "way has changed it. Nothing was kept") from error
    except OSError as error:  # requests' errors are OSErrors
        if error.errno and error.filename:  # a folder that is not there, or not ours to write
            raise
        status = getattr(getattr(error, "response", None), "status_code", "")
        reason = f"{type(error).__name__} {status}".strip()
        raise OSError(f"cannot download {address} ({reason}); connect, or fetch it elsewhere and give "
                      "its path with --data") from error


def python_manual():
    """The language reference that Python's help() shows: half a megabyte of English with nothing to download.

    Every Python version (and distribution) has its own: 3.11 has 465,048 characters.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError("this Python carries no pydoc_data (its manual); give a text file: --data PATH") from error
    return "\n".join(topics[name] for name in sorted(topics))
