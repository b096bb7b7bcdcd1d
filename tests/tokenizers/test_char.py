import doctest
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm import Tensor
from tinyllm.tokenizers import CharTokenizer, char

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)  # all of Unicode but lone surrogates


@given(TEXTS)
def test_ids_are_places_in_the_sorted_characters(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.characters == "".join(sorted(set(text)))
    assert tokenizer.vocab_size == len(set(text))
    assert ids.dtype == np.int64
    assert ids.tolist() == [tokenizer.characters.index(c) for c in text]
    assert tokenizer.decode(ids) == text


@given(TEXTS, st.text())
def test_encode_gives_back_the_text_or_names_the_first_unknown_character(train, text):
    tokenizer = CharTokenizer.train(train)
    unknown = [c for c in text if c not in train]
    if not unknown:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        return
    with pytest.raises(ValueError) as error:
        tokenizer.encode(text)
    message = str(error.value)
    assert f"{unknown[0]!r} (U+{ord(unknown[0]):04X}) at position {text.index(unknown[0])} " in message
    assert f"unknown characters in the text: {len(set(unknown))})" in message
    assert "\n" not in message


def test_the_error_shows_the_vocabulary():
    with pytest.raises(ValueError, match=re.escape(r"holds 4 characters: '\nabc'")):
        CharTokenizer.train("cab\n").encode("abd")
    with pytest.raises(ValueError, match="…") as error:
        CharTokenizer("".join(map(chr, range(0x4E00, 0x5E00)))).encode("a")
    assert len(str(error.value)) < 500


def test_the_order_of_the_characters_is_the_order_of_the_ids():
    tokenizer = CharTokenizer("zax")
    assert tokenizer.encode("axz").tolist() == [1, 2, 0]
    assert tokenizer.decode([0, 1, 2]) == "zax"


def test_the_example_in_the_docstring():
    assert doctest.testmod(char) == (0, 4)


@pytest.mark.parametrize("ids", [[1, 2, 2], (1, 2, 2), np.array([1, 2, 2], np.uint8), Tensor([1, 2, 2])], ids=type)
def test_decode_takes_lists_arrays_and_tensors(ids):
    assert CharTokenizer.train("abc").decode(ids) == "bcc"


def test_one_id_and_none():
    tokenizer = CharTokenizer.train("abc")
    assert tokenizer.decode(2) == "c"
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode("").shape == (0,) and tokenizer.encode("").dtype == np.int64


@pytest.mark.parametrize("bad", [-1, 3, 10**9])
def test_decode_names_an_id_outside_the_vocabulary(bad):
    with pytest.raises(IndexError, match=f"token id {bad} is outside 0 … 2"):
        CharTokenizer.train("abc").decode([0, bad, 1])


@pytest.mark.parametrize("ids", [[0.0, 1.0], [True, False], np.ones(2)])
def test_decode_takes_integers_only(ids):
    with pytest.raises(TypeError, match="integer ids"):
        CharTokenizer.train("abc").decode(ids)


def test_decode_takes_one_text():
    with pytest.raises(ValueError, match=re.escape("(2, 3)")):
        CharTokenizer.train("abc").decode(np.zeros((2, 3), int))


@pytest.mark.parametrize("text", [["hello", "ho"], b"hello", None])
def test_a_text_is_a_str(text):
    with pytest.raises(TypeError, match=f"not {type(text).__name__}"):
        CharTokenizer.train(text)
    with pytest.raises(TypeError, match=f"not {type(text).__name__}"):
        CharTokenizer.train("helo").encode(text)


@pytest.mark.parametrize(
    "characters, message",
    [
        ("", "at least one character"),
        (["a"], "must be a string"),
        ("abca", r"'a' \(U\+0061\) is in the vocabulary more than once"),
        ("a\udc80", r"'\\udc80' \(U\+DC80\) is half of a character"),
    ],
)
def test_a_vocabulary_is_distinct_characters(characters, message):
    with pytest.raises(ValueError, match=message):
        CharTokenizer(characters)


@given(TEXTS)
def test_load_gives_back_what_was_saved(tmp_path_factory, text):
    directory = tmp_path_factory.mktemp("run") / "new" / "folder"
    tokenizer = CharTokenizer.train(text)
    tokenizer.save(directory)
    loaded = CharTokenizer.load(directory)
    assert loaded.characters == tokenizer.characters
    assert np.array_equal(loaded.encode(text), tokenizer.encode(text))


def test_the_file_is_json_for_people(tmp_path):
    CharTokenizer.train("héé\n").save(tmp_path)
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"type": "char", "characters": "\nhé"}
    assert "hé" in text  # and not h\u00e9


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'["a", "b"]', "type is None"),
        (b'{"characters": "ab"}', "type is None"),
        (b'{"type": "bpe", "characters": "ab"}', "type is 'bpe'"),
        (b'{"type": "char"}', "not None"),
        (b'{"type": "char", "characters": ["a"]}', "must be a string"),
        (b'{"type": "char", "characters": ""}', "at least one character"),
        (b'{"type": "char", "characters": "aba"}', "'a' .* more than once"),
        (b'{"type": "char", "characters": "a\\ud800"}', "lone surrogate"),
    ],
)
def test_load_says_which_file_is_wrong_and_why(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{message}"):
        CharTokenizer.load(tmp_path)


def test_load_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokenizer.json: no such file"):
        CharTokenizer.load(tmp_path / "nowhere")


def test_repr():
    assert repr(CharTokenizer.train("hello")) == "<CharTokenizer of 4 characters: 'ehlo'>"
