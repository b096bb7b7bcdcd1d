"""Reading Hugging Face's and OpenAI's files: real ones where they are, made ones, and broken ones."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer, Tokenizer

from tinyllm.tokenizers import BPETokenizer, CharTokenizer, TiktokenTokenizer, load

DATA = Path(os.environ.get("TINYLLM_DATA", "/nowhere"))
REAL = pytest.mark.skipif(not (DATA / "tokenizers/vocab.bpe").is_file(), reason="set TINYLLM_DATA to the data folder")
HELLO, HELLO_IDS = "Hello world, 你好 🙂", [15496, 995, 11, 220, 19526, 254, 25001, 121, 32485]
CHARACTERS = st.characters(exclude_categories=["Cs"])
END = "<|endoftext|>"


@pytest.fixture
def saved(tmp_path):
    BPETokenizer.train("hello world, hello all", 262, "gpt2", [END]).save(tmp_path)
    return tmp_path


def broken(folder, change):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# made ones


@given(st.text(CHARACTERS, max_size=40))
def test_gpt2s_two_files_as_tokenizers_writes_them(text):
    assert TWO_FILES.encode(text).tolist() == TRAINED_THERE.encode(text).ids


@pytest.fixture(scope="module", autouse=True)
def two_files(tmp_path_factory):
    global TWO_FILES, TRAINED_THERE
    folder = tmp_path_factory.mktemp("two")
    TRAINED_THERE = ByteLevelBPETokenizer()
    texts = [str(license)[:3000] for license in (re.__doc__, json.__doc__)] * 3
    TRAINED_THERE.train_from_iterator(texts, 400, min_frequency=1, special_tokens=[END], show_progress=False)
    TRAINED_THERE.save_model(str(folder))
    TWO_FILES = load(folder)


def test_their_special_token_has_its_id():
    assert TWO_FILES.special_tokens == {END: 0} and TWO_FILES.vocab_size == TRAINED_THERE.get_vocab_size()
    assert TWO_FILES.encode(f"a{END}", "all").tolist()[-1] == 0
    assert 0 not in TWO_FILES.encode(f"a{END}")


def test_merges_may_be_strings_or_pairs(saved):
    before = load(saved)
    broken(saved, lambda c: c["model"].update(merges=[" ".join(pair) for pair in c["model"]["merges"]]))
    assert load(saved).merges == before.merges


def test_load_knows_each_kind(tmp_path):
    CharTokenizer.train("abc").save(tmp_path)
    assert isinstance(load(tmp_path), CharTokenizer)
    BPETokenizer.train("abc", 258).save(tmp_path)
    assert isinstance(load(tmp_path), BPETokenizer)


# real ones


@REAL
def test_gpt2_from_openais_own_files():
    for tokenizer in (load(DATA / "tokenizers"), TiktokenTokenizer("gpt2", DATA / "tokenizers/vocab.bpe")):
        assert tokenizer.encode(HELLO).tolist() == HELLO_IDS
        assert tokenizer.decode(HELLO_IDS) == HELLO
        assert tokenizer.vocab_size == 50257
        assert tokenizer.encode(END, "all").tolist() == [50256]
        assert 50256 not in tokenizer.encode(END)
    assert load(DATA / "tokenizers").encode_by_merges(HELLO).tolist() == HELLO_IDS


@REAL
def test_a_named_vocabulary_is_saved_with_all_it_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(DATA / "tokenizers/tiktoken_cache"))
    for name, text in (("gpt2", HELLO), ("cl100k_base", HELLO + " I'LL 12345 \n\n  ")):
        tokenizer = TiktokenTokenizer(name)
        tokenizer.save(tmp_path)
        loaded = load(tmp_path)
        assert loaded.vocab_size == tokenizer.vocab_size and loaded.special_tokens == tokenizer.special_tokens
        assert loaded.encode(text + END, "all").tolist() == tokenizer.encode(text + END, "all").tolist()
        assert loaded.encode_by_merges(text).tolist() == tokenizer.encode(text).tolist()
        theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        assert theirs.encode(text + END).ids == tokenizer.encode(text + END, "all").tolist()
    assert tokenizer.vocab_size == 100277
    with pytest.raises(IndexError, match="100261 is not in the vocabulary: it is one of the gaps of cl100k_base"):
        tokenizer.decode([0, 100261])
    with pytest.raises(IndexError, match="100261 is not in the vocabulary"):
        loaded.decode([0, 100261])
    assert loaded._encoding is not None  # tiktoken takes it back


@REAL
@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_a_model_of_theirs(text):
    folder = DATA / "weights/hf_tiny_random_gpt2"
    text = "".join(c for c in text if c.encode() in load(folder).vocab)  # what it lacks, tokenizers drops in silence
    assert load(folder).encode(text).tolist() == Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids


@REAL
def test_a_vocabulary_without_all_bytes_says_which_one_a_text_needs():
    tokenizer = load(DATA / "weights/lmbuddy_tiny_gpt2")
    assert tokenizer.decode(tokenizer.encode("lower lowest")) == "lower lowest"
    assert tokenizer.special_tokens == {"<unk>": 19, END: 20}
    with pytest.raises(ValueError, match="'Hello' has the byte b'H', and this vocabulary does not"):
        tokenizer.encode("Hello")


# broken ones


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["model"].update(type="WordPiece"), "model.type is 'WordPiece'; only 'BPE'"),
        (lambda c: c.update(normalizer={"type": "NFC"}), "normalizer is"),
        (lambda c: c.update(pre_tokenizer={"type": "Metaspace"}), "pre_tokenizer is not one of the byte-level"),
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "pre_tokenizer is not one"),
        (lambda c: c["model"].update(byte_fallback=True), "model.byte_fallback is True"),
        (lambda c: c["model"]["merges"].insert(3, ["h"]), "merge 3: a merge is two tokens .* not 'h'"),
        (lambda c: c["model"]["merges"].insert(3, "h"), "merge 3: a merge is two tokens .* not 'h'"),
        (lambda c: c["model"]["merges"].insert(1, ["q", "z"]), "merge 1: 'qz' is not in the vocabulary"),
        (lambda c: c["model"]["merges"].append(c["model"]["merges"][0]), "merge 5, .* is merge 0 once more"),
        (lambda c: c["model"]["vocab"].update({"中": 900}), "'中' is no byte-level token"),
        (lambda c: c["model"]["vocab"].update({"hel": 3}), "id 3 is given twice"),
        (lambda c: c["model"].update(vocab=None), "the vocabulary must be an object"),
    ],
)
def test_a_broken_tokenizer_json_is_named(saved, change, message):
    broken(saved, change)
    with pytest.raises(ValueError, match=f"{re.escape(str(saved))}.*{message}"):
        load(saved)


def test_not_json(saved):
    (saved / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer.json is not JSON"):
        load(saved)
    (saved / "tokenizer.json").write_text("[]")
    with pytest.raises(ValueError, match="must be a JSON object"):
        load(saved)


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokenizer.json: no such file, nor vocab.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    "lines, message",
    [
        ("#version: 0.2\nh e\nhe\n", "line 3: a merge is two tokens with a space between, not 'he'"),
        ("#version: 0.2\nh e\nhe l l\n", "line 3: a merge is two"),
        ("#version: 0.2\nh e\nhx l\n", "line 3: no line before makes b'hx'"),
        ("#version: 0.2\nh e\nh e\n", "line 3: b'he' was there before"),
        ("h e\n中 e\n", "line 2: '中' is no byte-level token"),
        ("#version: 0.2\nh e\n", "is not the vocabulary of gpt2: it has 257 tokens, not 50,256"),
    ],
)
def test_a_broken_merges_file_is_named(tmp_path, lines, message):
    path = tmp_path / "vocab.bpe"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{re.escape(message)}"):
        TiktokenTokenizer("gpt2", path)


@pytest.mark.parametrize(
    "lines, message",
    [
        ("IQ== 0\nIg==\n", "line 2: must be a token in base64 and its rank"),
        ("IQ== 0\n§ 1\n", "line 2: must be a token"),
        ("IQ== 0\nIg== 0\n", "line 2: the rank 0 was there before"),
        ("IQ== 0\nIQ== 1\n", "line 2: the token b'!' was there before"),
        ("IQ== 0\nIg== 2\n", "no line has rank 1, and there are 2 tokens"),
        ("IQ== 0\n", "the byte b'\\x00' is no token"),
    ],
)
def test_a_broken_tiktoken_file_is_named(tmp_path, lines, message):
    path = tmp_path / "x.tiktoken"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{re.escape(message)}"):
        TiktokenTokenizer("cl100k_base", path)


def test_names_of_vocabularies():
    with pytest.raises(ValueError, match="no vocabulary 'gpt5'; choose one of gpt2, r50k_base, cl100k_base"):
        TiktokenTokenizer("gpt5")
    with pytest.raises(FileNotFoundError, match="no such file"):
        TiktokenTokenizer("gpt2", "nowhere.bpe")


@pytest.mark.parametrize("name", ["gpt2", "o200k_base"])
def test_offline_one_line_says_how_to_get_it(name, monkeypatch, tmp_path):
    import requests

    def offline(*arguments, **options):
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", offline)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    with pytest.raises(OSError, match=f"{name} is not here and cannot be downloaded") as error:
        TiktokenTokenizer(name)
    assert "\n" not in str(error.value)
    assert "--vocab PATH" in str(error.value) and "TIKTOKEN_CACHE_DIR" in str(error.value)
