"""Text files to a folder of ids (tokenfile.py says what is in it), in little memory, however long they are."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from ..files import replace_file, replace_text
from ..tokenizers import CharTokenizer
from .documents import documents, encodable, files_of
from .tokenfile import DOCUMENTS, FACTS, TOKENS, TokenFile, is_prepared, vocabulary_sha256

END_OF_TEXT = "<|endoftext|>"


def prepare(sources, folder, tokenizer=None, field="text", val_fraction=0.1, progress=lambda n: None):
    """Write the ids of all documents to a folder, and give its TokenFile. tokenizer: by default one of characters.

    Each document is followed by <|endoftext|> where the tokenizer has that token. The last documents, together about
    val_fraction of all tokens, are for validation; a single document is cut. progress(bytes read) as it goes on;
    without a tokenizer the files are read twice. An error leaves no folder, or the one that was there.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"--val-fraction must be between 0 and 1, not {val_fraction}")
    files, folder = files_of(sources), Path(folder)
    if folder.exists() and not is_prepared(folder) and (folder.is_file() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there, and no prepared corpus; name a new folder with --out-dir")
    tokenizer = tokenizer or _characters(files, field, progress)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / (TOKENS + ".tmp")
    try:
        facts, starts = {}, []

        def write(path):
            facts.update(_write(path, files, field, tokenizer, starts, progress))
            (folder / FACTS).unlink(missing_ok=True)  # from here to the last line this is no prepared folder

        replace_file(folder / TOKENS, write)
        replace_file(folder / DOCUMENTS, lambda path: np.array(starts, np.uint64).tofile(path))
        tokenizer.save(folder)
        middle = _middle(starts, facts["count"], val_fraction)
        facts |= {"splits": {"train": [0, middle], "val": [middle, facts["count"]]}, "vocab_size": tokenizer.vocab_size,
                  "vocabulary_sha256": vocabulary_sha256(folder)}  # fmt: skip
        replace_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")
    except BaseException:
        aside.unlink(missing_ok=True)
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return TokenFile(folder)


def _characters(files, field, progress):
    found = set()
    for path in files:
        for parts in documents(path, field, progress):
            for part in parts:
                found.update(part)
    if not found:
        raise ValueError(f"{', '.join(map(str, files))}: no text in there")
    return CharTokenizer("".join(sorted(found)))


def _write(path, files, field, tokenizer, starts, progress):
    """Write the ids to a file, note in `starts` where documents begin, and give what there is to say of it."""
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    end = getattr(tokenizer, "special_tokens", {}).get(END_OF_TEXT)
    may_be_cut = getattr(tokenizer, "pattern", "characters") is not None
    hashed, count = hashlib.sha256(), 0
    with open(path, "wb") as out:
        for file in files:
            for parts in documents(file, field, progress):
                start = count
                for part in encodable(parts) if may_be_cut else ["".join(parts)]:
                    block = tokenizer.encode(part).astype(dtype).tobytes()
                    out.write(block)
                    hashed.update(block)
                    count += len(block) // dtype.itemsize
                if count > start:
                    starts.append(start)
                    if end is not None:
                        block = dtype.type(end).tobytes()
                        out.write(block)
                        hashed.update(block)
                        count += 1
    if count < 2:
        raise ValueError(f"{', '.join(map(str, files))}: {count} tokens are no corpus; give files with text in them")
    return {"dtype": dtype.name, "count": count, "documents": len(starts), "sha256": hashed.hexdigest()}


def _middle(starts, count, val_fraction):
    """Where validation begins: with a document, the one nearest to where it should."""
    wanted = count - max(1, round(val_fraction * count))
    inside = np.array(starts[1:], np.int64)
    return int(inside[np.argmin(abs(inside - wanted))]) if len(inside) else max(1, wanted)
