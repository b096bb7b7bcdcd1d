"""Texts with labels: what is read, what is refused, and how they are split."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.finetune.batches import EpochBatches
from tinyllm.finetune.builtin import code_or_prose
from tinyllm.finetune.labelled import Example, Split, read_labelled


def read(tmp_path, content, name="data.tsv", problem="single-label"):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return read_labelled(tmp_path / name, problem)


def test_the_three_layouts_say_the_same(tmp_path):
    rows = [("ham", 'he said "go", ok'), ("spam", "win £5 now"), ("ham", "ünï")]
    tsv = read(tmp_path, "".join(f"{label}\t{text}\n" for label, text in rows))
    quoted = "".join(f'"{text.replace(chr(34), chr(34) * 2)}",{label}\n' for label, text in rows)
    from_csv = read(tmp_path, "text,label\n" + quoted, "data.csv")
    lines = "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in rows)
    jsonl = read(tmp_path, lines, "data.jsonl")
    for found in (tsv, from_csv, jsonl):
        assert [(e.label, e.text) for e in found] == rows
    assert [e.row for e in tsv] == [1, 2, 3] and [e.row for e in from_csv] == [2, 3, 4]


def test_labels_are_classes_sets_or_numbers(tmp_path):
    assert [e.label for e in read(tmp_path, "a|b\tx\n\ty\nb\tz", problem="multi-label")] == [{"a", "b"}, set(), {"b"}]
    assert [e.label for e in read(tmp_path, "1.5\tx\n-2e3\ty", problem="regression")] == [1.5, -2000.0]
    listed = '{"label": ["b", "a"], "text": "x"}\n{"label": null, "text": "y"}'
    assert [e.label for e in read(tmp_path, listed, "l.jsonl", "multi-label")] == [{"a", "b"}, set()]


MISTAKES = {
    "no tab": ("ham\tok\nhello there\n", "data.tsv", "single-label", "row 2 has no label: 'hello there' has no tab"),
    "no label": ("ham\tok\n\thello\n", "data.tsv", "single-label", "row 2 has no label"),
    "no text": ("ham\tok\nspam\t \n", "data.tsv", "single-label", "row 2: the text is empty"),
    "columns": ("class,text\nham,ok\n", "data.csv", "single-label", "the columns are class, text; a header must name"),
    "short row": ("label,text\nham\n", "data.csv", "single-label", "row 2: the text is empty"),
    "no JSON": ('{"label": "a", "text": "b"}\n{"lab', "data.jsonl", "single-label", "row 2 is not JSON"),
    "keys": ('{"text": "b"}', "data.jsonl", "single-label", 'row 1 must be {"label": …, "text": …}'),
    "no number": ("1\ta\nbig\tb\n", "data.tsv", "regression", "row 2: the label of a regression must be a finite"),
    "nan": ("1\ta\nnan\tb\n", "data.tsv", "regression", "row 2: the label of a regression must be a finite"),
    "ending": ("ham\tok", "data.txt", "single-label", "labelled texts are read from .tsv, .csv, .jsonl"),
    "nothing": ("\n\n", "data.tsv", "single-label", "holds no row"),
}  # fmt: skip


@pytest.mark.parametrize("content, name, problem, message", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_name_the_row(tmp_path, content, name, problem, message):
    with pytest.raises(ValueError) as error:
        read(tmp_path, content, name, problem)
    assert message in str(error.value)


def examples(**counts):
    return [Example(f"{label} {i}", label, i) for label, n in counts.items() for i in range(n)]


def test_the_spam_tasks_split_is_balanced():
    split = Split.of(examples(ham=4827, spam=747), seed=3)
    assert (len(split.train), len(split.val), len(split.test)) == (1045, 149, 300)
    parts = split.train + split.val + split.test
    assert Counter(e.label for e in parts) == {"ham": 747, "spam": 747}
    assert len({(e.label, e.row) for e in parts}) == 1494, "no text is in two parts"
    assert split.classes == ("ham", "spam")


def test_a_split_follows_from_its_seed():
    data = examples(ham=40, spam=20)
    assert Split.of(data, seed=1) == Split.of(data, seed=1) != Split.of(data, seed=2)
    assert Split.of(data, seed=1).sha256 != Split.of(data, seed=2).sha256
    assert len(Split.of(data, balance="none").train) == 42


@pytest.mark.parametrize("data, problem, message", [
    (examples(ham=30), "single-label", "there is nothing to tell apart: all 30 rows are 'ham'"),
    ([Example("x", frozenset(), 1)] * 30, "multi-label", "no row has a label"),
    (examples(ham=30, spam=2), "single-label", "4 rows are too few"),
    (examples(ham=100) + [Example("x", "rare", 1)], "single-label", "no row of the class 'rare'"),
])  # fmt: skip
def test_there_must_be_something_to_tell_apart(data, problem, message):
    balance = "none" if "rare" in message else "undersample"
    with pytest.raises(ValueError, match=message):
        for seed in range(30):
            Split.of(data, problem, balance, seed)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 7), st.integers(0, 40))
def test_batches_go_through_an_epoch_and_start_anywhere(lengths, batch_size, start):
    sampler = EpochBatches(lengths, batch_size, seed=5)
    stream = sampler.starting_at(0)
    batches = [next(stream) for _ in range(start + 3)]
    assert all(len(batch) == batch_size for batch in batches)
    first = [i for batch in batches[: sampler.per_epoch] for i in batch]
    if start + 3 >= sampler.per_epoch:
        assert set(first) == set(range(len(lengths)))
        assert len(first) < len(lengths) + batch_size
    again = sampler.starting_at(start)
    assert [next(again) for _ in range(3)] == batches[start:]


def test_texts_of_like_length_are_together():
    lengths = np.random.default_rng(0).integers(1, 100, 800)
    def padding(batches):
        return sum(lengths[batch].max() * len(batch) for batch in batches) - lengths.sum()

    order = np.random.default_rng(1).permutation(800).reshape(-1, 10)
    assert padding(EpochBatches(lengths, 10, 0).epoch(0)) < 0.3 * padding(order)


def test_the_data_that_python_carries_is_balanced():
    found = code_or_prose()
    assert Counter(e.label for e in found) == {"code": 400, "prose": 400}
    assert all(e.text.strip() for e in found)
