"""Texts with labels: read from a file, balanced, split."""

import csv
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import read_text
from ..files import parse_json

FRACTIONS = (0.7, 0.1, 0.2)  # training, validation, test


@dataclass(frozen=True)
class Example:
    text: str
    label: object  # a class, a frozenset of classes, or a number
    row: int  # of the file, from 1


def read_labelled(path, problem="single-label"):
    """The Examples of a .tsv file (label, tab, text; no header), a .csv (with a header) or a .jsonl of label and text.

    problem: "single-label", "multi-label" (classes with | between, or a list; none is allowed) or "regression".
    """
    path = Path(path)
    readers = {".tsv": _read_tsv, ".csv": _read_csv, ".jsonl": _read_jsonl}
    if path.suffix not in readers:
        raise ValueError(f"{path}: labelled texts are read from {', '.join(readers)}; rename or convert the file")
    examples = []
    for row, label, text in readers[path.suffix](path, read_text(path)):
        where = f"{path}, row {row}"
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}: the text is empty; give one, or take the row out")
        examples.append(Example(text, PARSERS[problem](where, label), row))
    if not examples:
        raise ValueError(f"{path} holds no row; give texts with labels")
    return examples


def _read_tsv(path, content):
    for row, line in enumerate(content.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        if not tab:
            raise ValueError(f"{path}, row {row} has no label: {line[:60]!r} has no tab; a row is a label, a tab and a "
                             "text")
        yield row, label, text


def _read_csv(path, content):
    reader = csv.DictReader(content.removeprefix("\ufeff").splitlines(keepends=True))
    if not {"label", "text"} <= set(reader.fieldnames or ()):
        raise ValueError(f"{path}, row 1: the columns are {', '.join(reader.fieldnames or ()) or 'none'}; a header "
                         "must name label and text")
    for entry in reader:
        yield reader.line_num, entry["label"], entry["text"]


def _read_jsonl(path, content):
    for row, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = parse_json(line.encode())
        except ValueError as error:
            raise ValueError(f"{path}, row {row} is not JSON: {error}") from error
        if not isinstance(entry, dict) or not {"label", "text"} <= set(entry):
            raise ValueError(f'{path}, row {row} must be {{"label": …, "text": …}}, it is {line[:60]}')
        yield row, entry["label"], entry["text"]


def _single(where, label):
    if not isinstance(label, (str, int)) or not (name := str(label).strip()):
        raise ValueError(f"{where} has no label: {label!r}; name its class, or take the row out")
    return name


def _multi(where, label):
    names = label if isinstance(label, list) else str("" if label is None else label).split("|")
    return frozenset(name.strip() for name in map(str, names) if name.strip())


def _number(where, label):
    try:
        number = float(label)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: the label of a regression must be a finite number, not {label!r}")
    return number


PARSERS = {"single-label": _single, "multi-label": _multi, "regression": _number}


@dataclass(frozen=True)
class Split:
    """classes: their names in the order of their ids, () for a regression."""

    train: list
    val: list
    test: list
    classes: tuple

    @classmethod
    def of(cls, examples, problem="single-label", balance="undersample", seed=0):
        """Shuffled and cut 70 : 10 : 20. Undersampling first draws as many of each class as the rarest has."""
        rng = np.random.default_rng(seed)
        classes = classes_of(examples, problem)
        groups = [examples]
        if problem == "single-label" and balance == "undersample":
            groups = [[e for e in examples if e.label == name] for name in classes]
        size = min(map(len, groups))
        drawn = [group[i] for group in groups for i in rng.permutation(len(group))[:size]]
        drawn = [drawn[i] for i in rng.permutation(len(drawn))]
        a, b = (int(sum(FRACTIONS[:k]) * len(drawn) + 1e-9) for k in (1, 2))
        b = a + int(FRACTIONS[1] * len(drawn))
        parts = drawn[:a], drawn[a:b], drawn[b:]
        if not all(parts):
            raise ValueError(f"{len(drawn)} rows are too few for a training, a validation and a test part "
                             f"({', '.join(str(len(part)) for part in parts)}); give at least 10 of each class")
        seen = classes_of(parts[0], problem, classes)
        if missing := [name for name in classes if name not in seen]:
            raise ValueError(f"no row of the class {missing[0]!r} is in the training part; give more of them")
        return cls(*parts, classes)

    @property
    def sha256(self):
        """What tells this split from others."""
        parts = [[[e.text, sorted(e.label) if isinstance(e.label, frozenset) else e.label] for e in part]
                 for part in (self.train, self.val, self.test)]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def classes_of(examples, problem, allowed=None):
    """The names of the classes, sorted; () for a regression. Raises where there is nothing to tell apart."""
    if problem == "regression":
        return ()
    labels = [e.label for e in examples] if problem == "single-label" else [c for e in examples for c in e.label]
    counts = Counter(labels)
    least = 2 if problem == "single-label" else 1
    if len(counts) < least and allowed is None:
        found = f"all {len(examples):,} rows are {labels[0]!r}" if labels else "no row has a label"
        raise ValueError(f"there is nothing to tell apart: {found}; give rows of {least} or more classes")
    return tuple(sorted(counts))
