"""Texts to token files: what is in them, in how little memory, and every way in which one can be wrong."""

import gzip
import hashlib
import json
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.data.documents import _last_seam, documents, encodable
from tinyllm.data.prepare import prepare
from tinyllm.data.statistics import statistics
from tinyllm.data.tokenfile import TokenFile, is_prepared
from tinyllm.tokenizers import PATTERNS, BPETokenizer, CharTokenizer
from tinyllm.training.corpus import Corpus

END = "<|endoftext|>"
BPE = BPETokenizer.train("the cat sat on the mat.\nthe dog 123 sat.\n\n" * 3, 290, "gpt4", [END])
TEXTS = ["the cat\nsat", "宋词三百首\n🙂", "a dog.\r\n\r\n 12 "]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a.txt").write_text(TEXTS[0], encoding="utf-8")
    (tmp_path / "in/b.txt.gz").write_bytes(gzip.compress(TEXTS[1].encode()))
    lines = [json.dumps({"body": text, "id": 1}) for text in (*TEXTS, "")]
    (tmp_path / "in/sub/c.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8", newline="\n")
    (tmp_path / "in/left.md").write_text("not read")
    return tmp_path


def test_ids_documents_and_facts(folder):
    file = prepare([folder / "in"], folder / "out", BPE, "body")
    texts = [*TEXTS[:2], *TEXTS]
    assert BPE.decode(file.ids) == "".join(text + END for text in texts)
    assert [BPE.decode(file.ids[a:b]) for a, b in zip(file.starts, [*file.starts[1:], len(file.ids)])] == [
        text + END for text in texts]  # fmt: skip
    assert (file.ids == BPE.special_tokens[END]).sum() == 5
    facts = json.loads((folder / "out/tokens.json").read_text())
    content = (folder / "out/tokens.bin").read_bytes()
    assert facts["dtype"] == "uint16" and facts["count"] == len(file.ids) == len(content) // 2
    assert facts["documents"] == 5 and facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["splits"]["val"][0] in file.starts and facts["splits"]["val"][1] == len(file.ids)
    assert len(file.train_ids) + len(file.val_ids) == len(file.ids)
    assert file.tokenizer.to_json() == BPE.to_json()
    file.check_content()


def test_characters_are_the_texts_own(folder):
    file = prepare([folder / "in"], folder / "out", field="body")
    assert isinstance(file.tokenizer, CharTokenizer)
    assert file.tokenizer.decode(file.ids) == "".join([*TEXTS[:2], *TEXTS])


def test_wide_ids(folder):
    wide = BPETokenizer({**BPE.vocab}, BPE.merges, "gpt4", {END: 70_000})
    file = prepare([folder / "in/a.txt"], folder / "out", wide)
    assert file.ids.dtype == np.uint32 and file.ids[-1] == 70_000
    assert prepare([folder / "in/a.txt"], folder / "out", BPE).ids.dtype == np.uint16, "and is made anew"


def test_the_last_documents_are_for_validation(tmp_path):
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"text": "word " * n}) + "\n" for n in (50, 30, 10, 10)))
    file = prepare([tmp_path / "x.jsonl"], tmp_path / "out", BPETokenizer.train("", 256), val_fraction=0.12)
    assert len(file.val_ids) == 50
    (tmp_path / "one.txt").write_text("a" * 1000)
    file = prepare([tmp_path / "one.txt"], tmp_path / "one", val_fraction=0.25)
    assert len(file.val_ids) == 250, "a single document is cut"


FEW = st.text(st.sampled_from("ab1. \n\n\r/'’你。\u00a0\u2028s"), max_size=40)


@given(st.lists(FEW, max_size=6), st.sampled_from([*PATTERNS]))
def test_where_a_text_is_cut_no_tokenizer_sees_it(parts, pattern):
    tokenizer = ALL[pattern]
    cut = list(encodable(parts))
    assert "".join(cut) == "".join(parts)
    ids = [i for part in cut for i in tokenizer.encode(part).tolist()]
    assert ids == tokenizer.encode("".join(parts)).tolist()


ODD = "a b\n\n\n c.\n\n \r\n\r\n你。\n//\n a's 11\n" * 9
ALL = {pattern: BPETokenizer.train(ODD, 300, pattern) for pattern in PATTERNS}


@pytest.mark.parametrize("text", ["abc\nab", "abc\r\nab", "你。\n好", "1.\na"])
def test_there_are_seams_in_ordinary_text(text):
    assert 0 < _last_seam(text) < len(text)


@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_files_are_read_in_blocks_that_cut_characters_and_lines(folder, block, monkeypatch):
    monkeypatch.setattr("tinyllm.data.documents.BLOCK", block)
    read = [["".join(parts) for parts in documents(folder / "in" / name, "body")]
            for name in ("a.txt", "b.txt.gz", "sub/c.jsonl")]  # fmt: skip
    assert read == [TEXTS[:1], TEXTS[1:2], [*TEXTS, ""]]


def test_a_training_does_not_load_the_ids(tmp_path):
    """Two hundred million ids that are not even on the disk (the file has holes), looked at here and there."""
    n = 200_000_000
    prepared = prepare_by_hand(tmp_path, n)
    tracemalloc.start()
    corpus = Corpus.prepared(tmp_path, block_size=8)
    from tinyllm.training.batches import batches
    from tinyllm.training.config import TrainConfig

    inputs, targets = next(batches(corpus.train_ids, TrainConfig(block_size=8, batch_size=4)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(corpus.train_ids) == n - 1000 and inputs.shape == (4, 8)
    assert peak < 20e6, "400 MB of ids"
    assert prepared == corpus.text_sha256


def prepare_by_hand(folder, n):
    (folder / "x.txt").write_text("abc" * 1000)
    prepare([folder / "x.txt"], folder / "small")
    for name in ("tokenizer.json", "documents.bin"):
        (folder / name).write_bytes((folder / "small" / name).read_bytes())
    facts = json.loads((folder / "small/tokens.json").read_text())
    facts |= {"count": n, "splits": {"train": [0, n - 1000], "val": [n - 1000, n]}}
    (folder / "tokens.json").write_text(json.dumps(facts))
    with open(folder / "tokens.bin", "wb") as file:
        file.truncate(2 * n)
    return facts["sha256"]


def test_a_long_file_is_prepared_in_little_memory(tmp_path):
    (tmp_path / "long.txt").write_text("the cat sat on the mat\n" * 300_000)
    tracemalloc.start()
    file = prepare([tmp_path / "long.txt"], tmp_path / "out", BPE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(file.ids) > 2_000_000 and peak < 60e6, "the ids of a whole text of this length take more"


# mistakes


def nothing_is_left(folder):
    return not (folder / "out").exists()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"abc\xffd", "a.txt is not UTF-8 text: byte 0xff at offset 3"),
        ("a.txt", "你".encode()[:2], "a.txt is not UTF-8 text: byte 0xe4 at offset 0"),
        ("a.txt", b"x" * 2_000_000 + b"\xc3", "byte 0xc3 at offset 2000000"),
        ("a.txt", b"ab\0", "byte 0x00 at offset 2; is it binary"),
        ("a.txt.gz", gzip.compress(b"hello" * 99)[:-9], "a.txt.gz cannot be unpacked"),
        ("a.txt.gz", b"hello", "a.txt.gz cannot be unpacked"),
        ("a.jsonl", b'{"text": "a"}\n{"text"\n', "a.jsonl, line 2 is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "line 2: there is no text in 'text'; it has body; .* --field"),
        ("a.jsonl", b"[1]\n", "line 1: there is no text in 'text'; it has no object"),
        ("a.txt", b"", "a.txt: 0 tokens are no corpus"),
    ],
)
def test_a_wrong_text_is_named_and_nothing_is_left(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        prepare([tmp_path / name], tmp_path / "out", BPE)
    assert nothing_is_left(tmp_path)


def test_what_there_is_not(tmp_path):
    with pytest.raises(FileNotFoundError, match="nope.txt: no such file"):
        prepare([tmp_path / "nope.txt"], tmp_path / "out")
    with pytest.raises(ValueError, match="without files of text"):
        prepare([tmp_path], tmp_path / "out")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FileExistsError, match="is there, and no prepared corpus"):
        prepare([tmp_path / "a.txt"], tmp_path)
    with pytest.raises(ValueError, match="--val-fraction must be between 0 and 1, not 1.5"):
        prepare([tmp_path / "a.txt"], tmp_path / "out", val_fraction=1.5)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "damage, error, message",
    [
        (lambda p: (p / "tokens.bin").write_bytes(b"12345"), ValueError, "tokens.bin has 5 bytes, but .* cut short"),
        (lambda p: (p / "documents.bin").write_bytes(b""), ValueError, "documents.bin has 0 bytes"),
        (lambda p: (p / "tokens.bin").unlink(), FileNotFoundError, "tokens.bin: no such file"),
        (lambda p: edit(p / "tokens.json", count=4), ValueError, "its splits, .* are not the count of 4"),
        (lambda p: edit(p / "tokens.json", dtype="uint32"), ValueError, "tokens.bin has .* × uint32"),
        (lambda p: edit(p / "tokens.json", dtype="words"), ValueError, "tokens.json is not what `tinyllm data"),
        (lambda p: (p / "tokens.json").write_text("{}"), ValueError, "tokens.json is not what"),
        (lambda p: (p / "tokens.json").write_text("{"), ValueError, "tokens.json is not what"),
        (lambda p: CharTokenizer("ab").save(p), ValueError, "tokenizer.json is not the tokenizer that made tokens.bin"),
    ],
)
def test_a_damaged_folder_is_named(folder, damage, error, message):
    prepare([folder / "in/a.txt"], folder / "out", BPE)
    damage(folder / "out")
    with pytest.raises(error, match=message) as caught:
        TokenFile(folder / "out")
    assert str(folder / "out") in str(caught.value)


def test_changed_ids_are_found_by_their_sha256(folder):
    file = prepare([folder / "in/a.txt"], folder / "out", BPE)
    path = folder / "out/tokens.bin"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ValueError, match=re.escape(f"{path} was changed")):
        file.check_content()


def test_what_fails_leaves_the_corpus_that_was_there_unfit_and_not_half_new(folder):
    prepare([folder / "in/a.txt"], folder / "out", BPE)
    (folder / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="offset 0"):
        prepare([folder / "bad.txt"], folder / "out", BPE)
    assert is_prepared(folder / "out") and BPE.decode(TokenFile(folder / "out").ids) == TEXTS[0] + END
    assert not list((folder / "out").glob("*.tmp"))


def test_a_part_too_short_for_a_window(folder):
    prepare([folder / "in/a.txt"], folder / "out", BPE)
    with pytest.raises(ValueError, match="validation part .* has 1 tokens: too few for a window of --block-size 4"):
        Corpus.prepared(folder / "out", 4)


def test_statistics():
    tokenizer = BPETokenizer.train("aaabdaaabac", 259)
    found = statistics("aaabdaaabac", tokenizer)
    assert (found.vocab_size, found.used, found.tokens) == (259, 4, 5)
    assert found.characters_per_token == found.bytes_per_token == 11 / 5
    assert found.longest[0] == b"aaab" and set(found.rarest[:3]) == {b"a", b"c", b"d"}
    assert statistics("宋词", CharTokenizer("宋词")).bytes_per_token == 3
