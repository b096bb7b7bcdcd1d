"""The documents of text files, read piece by piece: a corpus may be larger than the memory."""

import gzip
import json
from pathlib import Path

KINDS = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")
BLOCK = 1 << 20  # bytes that are read at a time


def files_of(sources):
    """The files that sources name; of a folder those below it whose names end in one of KINDS, sorted by path."""
    found = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(path for path in source.rglob("*") if path.is_file() and path.name.endswith(KINDS))
            if not inside:
                raise ValueError(f"{source} is a folder without files of text ({', '.join(KINDS)})")
            found += inside
        elif not source.exists():
            raise FileNotFoundError(f"{source}: no such file; give text files, or folders of them")
        else:
            found.append(source)
    return found


def documents(path, field="text", progress=lambda n: None):
    """Each document of a file, as an iterator over the parts of its text; progress(bytes read) as it goes on.

    A .jsonl file has an object a line, with the text in `field`; any other file is one document. .gz is unpacked.
    """
    parts = _decoded(path, progress)
    if Path(path).name.removesuffix(".gz").endswith(".jsonl"):
        for number, line in enumerate(_lines(parts), 1):
            if line.strip():
                yield iter([_text_of(line, field, f"{path}, line {number}")])
    else:
        yield parts


def _decoded(path, progress):
    """The text of a UTF-8 file, a block at a time."""
    rest, offset = b"", 0  # bytes that are not decoded yet, and where they stand in the file
    with open(path, "rb") as raw:
        file = gzip.GzipFile(fileobj=raw) if Path(path).name.endswith(".gz") else raw
        while True:
            before = raw.tell()
            try:
                read = file.read(BLOCK)
            except (EOFError, OSError, ValueError) as error:
                raise ValueError(f"{path} cannot be unpacked ({error}): it was cut short, or is no .gz file") from error
            progress(raw.tell() - before)
            block = rest + read
            try:
                text = block.decode("utf-8")
                rest = b""
            except UnicodeDecodeError as error:
                if not read or error.reason != "unexpected end of data":
                    raise ValueError(f"{path} is not UTF-8 text: byte 0x{block[error.start]:02x} at offset "
                                     f"{offset + error.start}; save it as UTF-8") from error
                text, rest = block[: error.start].decode("utf-8"), block[error.start :]
            if (nul := block.find(b"\0")) >= 0:
                raise ValueError(f"{path} is not UTF-8 text: byte 0x00 at offset {offset + nul}; is it binary, or "
                                 "UTF-16?")
            offset += len(block) - len(rest)
            if text:
                yield text
            if not read:
                return


def _lines(parts):
    rest = ""
    for part in parts:
        *lines, rest = (rest + part).split("\n")
        yield from lines
    yield rest


def _text_of(line, field, place):
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place} is not JSON: {error}") from error
    text = content.get(field) if isinstance(content, dict) else None
    if not isinstance(text, str):
        names = ", ".join(content) if isinstance(content, dict) else "no object"
        raise ValueError(f"{place}: there is no text in {field!r}; it has {names}; name the field with --field")
    return text


def encodable(parts):
    """The same text in parts that may be encoded one by one: no piece that a pattern cuts out reaches across two.

    A line may end a part where it is followed by no empty line, but by a letter or digit; and a letter or digit may,
    before the end of its line: every pattern cuts there, whatever comes before and after.
    """
    rest = ""
    for part in parts:
        rest += part
        if cut := _last_seam(rest):
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _last_seam(text):
    end = len(text)
    while (end := text.rfind("\n", 1, end)) > 0:
        if not text[end - 1].isspace() and text[end + 1 : end + 2].isalnum():
            return end + 1
        start = end - 1 if text[end - 1] == "\r" else end
        if text[start - 1 : start].isalnum():
            return start
    return 0
