"""Byte-pair encoding: both trainers, both encoders, tiktoken and Hugging Face's tokenizers agree on every string."""

import doctest
import os
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tinyllm import Tensor
from tinyllm.tokenizers import PATTERNS, BPETokenizer, bpe, bpe_plain, load
from tinyllm.tokenizers.bpe_train import train_merges
from tinyllm.tokenizers.pretokenize import split

ALL_PATTERNS = [None, *PATTERNS]
CHARACTERS = st.characters(exclude_categories=["Cs"])  # all of Unicode but lone surrogates
# few characters, so that they meet often; joiners, marks, spaces and what patterns look for among them
FEW = st.sampled_from("aabbcS sſé你好🙂\u200d\0\u0301\u00a0\u2028\r\n\t'’1²Ⅷ./DžʰǅİﬁA")
TEXTS = st.text(FEW, max_size=60) | st.text(CHARACTERS, max_size=30) | st.text("ab", max_size=60)
HARD = ["", "a", "\0", "\0" * 9, "\u200d\u200d", "a" * 999, "🙂👩\u200d👩\u200d👧\u200d👦 e\u0301",
        "你好，世界", " \n  x \n ", "I'LL I'ſ he's", "1234567"]  # fmt: skip
END = "<|endoftext|>"


def corpus():
    """Ten thousand words of a few letters in many scripts, always the same."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdeé你好是я🙂'", k=draw.randrange(1, 6))) for _ in range(200)]
    seams = [" ", " ", " ", "\n", ", ", " 12", ".\n\n", "  ", "'s "]
    return "".join(draw.choice(words) + draw.choice(seams) for _ in range(3_000))


TRAINED = {pattern: BPETokenizer.train(corpus(), 500, pattern, [END]) for pattern in ALL_PATTERNS}


def train_readably(text, n_merges, pattern):
    """bpe_plain.train, for a text in pieces."""
    pieces, merges = [list(piece.encode()) for piece in split(text, pattern)], []
    while len(merges) < n_merges:
        counts = {}
        for piece in pieces:
            for pair in zip(piece, piece[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        merges.append(max(counts, key=counts.get))
        pieces = [bpe_plain.merge(piece, merges[-1], 255 + len(merges)) for piece in pieces]
    return merges


# training


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(bpe_plain) == (0, 4)
    assert doctest.testmod(bpe) == (0, 4)


@given(TEXTS, st.integers(0, 40))
def test_the_fast_trainer_makes_the_merges_of_the_page(text, n):
    assert BPETokenizer.train(text, 256 + n).merges == bpe_plain.train(text, n)


@given(TEXTS, st.integers(0, 40), st.sampled_from([*PATTERNS]))
def test_also_in_pieces(text, n, pattern):
    assert BPETokenizer.train(text, 256 + n, pattern).merges == train_readably(text, n, pattern)


@given(st.text("ab", max_size=80))
def test_also_where_the_heap_is_filled_again_and_again(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyllm.tokenizers.bpe_train.CANDIDATES", 2)
        assert BPETokenizer.train(text, 300).merges == bpe_plain.train(text, 44)


def test_merges_on_real_text_are_those_of_the_page():
    folder = Path(os.environ.get("TINYLLM_DATA", ""), "text")
    if not (folder / "taylorswift.txt").is_file():
        pytest.skip("set TINYLLM_DATA to a folder with text/taylorswift.txt")
    text = (folder / "taylorswift.txt").read_text(encoding="utf-8")[:30_000]
    assert BPETokenizer.train(text, 256 + 400).merges == bpe_plain.train(text, 400)


def test_of_equal_counts_the_pair_met_first_is_merged():
    assert BPETokenizer.train("cdab", 257).merges == [(99, 100)]
    assert BPETokenizer.train("ab cd cd ab", 257, "gpt2").merges == [(97, 98)]


def test_a_text_that_runs_out_of_pairs_makes_a_smaller_vocabulary():
    tokenizer = BPETokenizer.train("aaaa", 1000, special_tokens=[END])
    assert tokenizer.merges == [(97, 97), (256, 256)]
    assert tokenizer.special_tokens == {END: 258} and tokenizer.vocab_size == 259


def test_a_megabyte_of_one_letter():
    tokenizer = BPETokenizer.train("a" * 1_000_000, 4096)
    assert len(tokenizer.merges) == len(train_merges({b"a" * 1_000_000: 1}, 9999)) == 25
    text = "a" * 200_000
    assert tokenizer.encode_by_merges(text).tolist() == tokenizer.encode(text).tolist()
    assert tokenizer.decode(tokenizer.encode("a" * 1_000_000)) == "a" * 1_000_000


def test_a_million_spaces_do_not_overflow_the_stack_of_tiktoken():
    text = " " * 1_000_000 + "x"
    for pattern in PATTERNS:
        ids = TRAINED[pattern].encode(text)
        assert TRAINED[pattern].decode(ids) == text
        short = TRAINED[pattern].encode(" " * 999 + "x").tolist()
        assert ids.tolist()[-5:] == short[-5:]


def test_progress_is_told_of_every_merge():
    told = []
    BPETokenizer.train("abcabcabd", 259, progress=told.append)
    assert told == [1, 2, 3]


def test_documents_keep_apart_and_special_tokens_are_learned_from_nothing():
    assert BPETokenizer.train(["ab", "ab", "b"], 258).merges == [(97, 98)]
    assert BPETokenizer.train(f"ab{END}ab{END}", 258 + 1, special_tokens=[END]).merges == [(97, 98)]


# encoding


@pytest.mark.parametrize("pattern", ALL_PATTERNS)
@settings(max_examples=300)
@given(text=TEXTS)
def test_all_encoders_give_the_same_ids(pattern, text):
    tokenizer = TRAINED[pattern]
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == tokenizer.encode_by_merges(text).tolist()
    assert ids.tolist() == tokenizer.to_tiktoken().encode(text, disallowed_special=())
    assert ids.tolist() == HUGGING_FACE[pattern].encode(text).ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()


HUGGING_FACE = {pattern: Tokenizer.from_str(tokenizer.to_json()) for pattern, tokenizer in TRAINED.items()}


@pytest.mark.parametrize("text", [*HARD, corpus()[:5000]], ids=range(len(HARD) + 1))
@pytest.mark.parametrize("pattern", ALL_PATTERNS)
def test_hard_strings(pattern, text):
    test_all_encoders_give_the_same_ids.hypothesis.inner_test(pattern, text)


@given(st.text("ab", min_size=1), st.text("ab"), st.integers(0, 30))
def test_without_pieces_the_page_encodes_the_same(train, text, n):
    tokenizer = BPETokenizer.train(train, 256 + n)
    assert tokenizer.encode(text).tolist() == bpe_plain.encode(text, tokenizer.merges)
    assert bpe_plain.decode(tokenizer.encode(text), tokenizer.merges) == text


@given(TEXTS, st.sampled_from([*PATTERNS]))
def test_pieces_are_the_whole_text_in_order(text, pattern):
    assert "".join(split(text, pattern)) == text


def test_the_pattern_of_gpt4_is_the_one_of_cl100k_base():
    """On the strings where its forms differ: contractions in capitals, three digits, spaces at the end."""
    assert split("I'LL we'VE he'ſ", "gpt4") == ["I", "'LL", " we", "'VE", " he", "'ſ"]
    assert split("1234567", "gpt4") == ["123", "456", "7"]
    assert split("a  \n  ", "gpt4") == ["a", "  \n  "]
    assert split("I'LL", "gpt2") == ["I", "'", "LL"]


@given(st.lists(st.sampled_from([END, "<|fim|>", "<|", "end", "|>", "a b"]), max_size=8).map("".join))
def test_special_tokens_come_from_plain_text_only_where_they_are_asked_for(text):
    tokenizer = BPETokenizer.train("a b <|end", 280, "gpt4", [END, "<|fim|>"])
    plain = tokenizer.encode(text)
    assert not set(plain.tolist()) & set(tokenizer.special_tokens.values())
    for allowed in ("all", {END}, [END, "<|fim|>"]):
        names = set(tokenizer.special_tokens) if allowed == "all" else set(allowed)
        ids = tokenizer.encode(text, allowed)
        assert ids.tolist() == tokenizer.encode_by_merges(text, allowed).tolist()
        assert ids.tolist() == tokenizer.to_tiktoken().encode(text, allowed_special=names, disallowed_special=())
        assert Counter(ids.tolist())[tokenizer.special_tokens[END]] == text.count(END)
        assert tokenizer.decode(ids) == text


def test_the_longest_special_token_is_taken():
    tokenizer = BPETokenizer.train("", 259, special_tokens=["<a>", "<a><b>", "<c>"])
    assert tokenizer.encode("<a><b><a><c>", "all").tolist() == [257, 256, 258]


@given(st.binary(max_size=40))
def test_any_ids_decode(data):
    tokenizer = TRAINED["gpt2"]
    assert tokenizer.decode_bytes(list(data)) == data
    assert tokenizer.decode(Tensor(np.frombuffer(data, np.uint8))) == data.decode(errors="replace")


# files


@pytest.mark.parametrize("pattern", ALL_PATTERNS)
def test_what_is_saved_is_loaded_and_loads_in_tokenizers(tmp_path, pattern):
    tokenizer = TRAINED[pattern]
    tokenizer.save(tmp_path / "new" / "folder")
    text = corpus()[:2000] + END
    for loaded in (BPETokenizer.load(tmp_path / "new/folder"), load(tmp_path / "new/folder")):
        assert loaded.merges == tokenizer.merges and loaded.vocab == tokenizer.vocab
        assert loaded.pattern == pattern and loaded.special_tokens == tokenizer.special_tokens
        assert loaded.vocab_size == tokenizer.vocab_size == 500
        assert loaded.encode(text, "all").tolist() == tokenizer.encode(text, "all").tolist()
        assert loaded.to_json() == tokenizer.to_json()
    theirs = Tokenizer.from_file(str(tmp_path / "new/folder/tokenizer.json"))
    assert theirs.get_vocab_size() == 500
    assert theirs.encode(text).ids == tokenizer.encode(text, "all").tolist()
    assert theirs.decode(theirs.encode(corpus()).ids) == corpus()


def test_tiktoken_and_back():
    tokenizer = TRAINED["gpt4"]
    again = BPETokenizer.from_tiktoken(tokenizer.to_tiktoken(), "gpt4")
    assert again.merges == tokenizer.merges and again.to_json() == tokenizer.to_json()


# mistakes


@pytest.mark.parametrize("text", [["hello"], b"hello", None])
def test_a_text_is_a_str(text):
    with pytest.raises(TypeError, match=f"not {type(text).__name__}"):
        TRAINED["gpt2"].encode(text)


@pytest.mark.parametrize("method", ["encode", "encode_by_merges"])
def test_half_a_character_is_refused_with_its_place(method):
    with pytest.raises(ValueError, match=r"lone surrogate, U\+D83D\) at position 3"):
        getattr(TRAINED["gpt2"], method)("abc\ud83d")


def test_half_a_character_is_refused_in_training():
    with pytest.raises(ValueError, match="position 1"):
        BPETokenizer.train("a\udc00", 300)


@pytest.mark.parametrize("bad", [-1, 500, 10**9])
def test_ids_outside_the_vocabulary(bad):
    with pytest.raises(IndexError, match=f"token id {bad} is outside 0 … 499"):
        TRAINED["gpt2"].decode([1, bad])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: BPETokenizer.train("a", 255), "vocab_size 255 is too small"),
        (lambda: BPETokenizer.train("a", 256, special_tokens=[END]), "256 bytes and 1 special tokens are 257"),
        (lambda: BPETokenizer.train("a", 300, "gpt3"), "no pattern 'gpt3'; choose one of gpt2, gpt4"),
        (lambda: TRAINED[None].encode("a", ["<|x|>"]), re.escape("no special token '<|x|>'; there are: <|endoftext|>")),
        (lambda: BPETokenizer({b"a": 0, b"b": 0}, []), "id 0 is given twice"),
        (lambda: BPETokenizer({b"a": 0, b"b": 1}, [(0, 1)]), "merge 0, of b'a' and b'b', makes b'ab', which is not"),
        (lambda: BPETokenizer({b"a": 0, b"b": 1, b"ab": 2}, [(0, 1), (0, 1)]), "merge 1, .* is merge 0 once more"),
        (lambda: BPETokenizer({b"a": 0}, [(0, 7)]), "merge 0 is of id 7"),
        (lambda: BPETokenizer({}, []), "ids begin at 0"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_allowed_special_is_a_collection():
    with pytest.raises(TypeError, match="collection of names"):
        TRAINED[None].encode("a", END)


def test_a_vocabulary_that_tiktoken_would_read_otherwise_is_not_given_to_it():
    """In a b c the merge of b and c comes first, so "ab c" never stands there: tiktoken would look "abc" up whole."""
    tokens = {**bpe.BYTES, b"bc": 256, b"ab": 257, b"abc": 258}
    tokenizer = BPETokenizer(tokens, [(98, 99), (97, 98), (257, 99)])
    with pytest.raises(ValueError, match="token 258, b'abc', does not come out of its own bytes"):
        tokenizer.to_tiktoken()
    assert tokenizer.encode("abc").tolist() == [97, 256] == Tokenizer.from_str(tokenizer.to_json()).encode("abc").ids
    assert tiktoken.Encoding("x", pat_str=".+", mergeable_ranks=tokens, special_tokens={}).encode("abc") == [258]


@given(st.lists(st.text("ab", min_size=2, max_size=5).map(str.encode), max_size=8), st.text("ab", max_size=9))
def test_whatever_tiktoken_is_given_it_reads_alike(words, text):
    """Of vocabularies at random, made by nobody's training, those it takes give the ids of the merges."""
    tokens, merges = dict(bpe.BYTES), []
    for word in words:
        for cut in range(1, len(word)):
            if word[:cut] in tokens and word[cut:] in tokens and word not in tokens:
                merges.append((tokens[word[:cut]], tokens[word[cut:]]))
                tokens[word] = len(tokens)
    tokenizer = BPETokenizer(tokens, merges)
    assert tokenizer.encode(text).tolist() == tokenizer.encode_by_merges(text).tolist()
    assert tokenizer.encode(text).tolist() == Tokenizer.from_str(tokenizer.to_json()).encode(text).ids


def test_repr():
    assert repr(TRAINED["gpt2"]) == "<BPETokenizer of 500 tokens, pattern gpt2, special <|endoftext|>>"
