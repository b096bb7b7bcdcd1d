"""Text as it comes: in whole characters, and never a part of a stop string."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.generation import TextStream, whole_text


class Bytes:
    """A tokenizer whose tokens are the bytes of UTF-8; 256 is the end of a text."""

    def decode_bytes(self, ids):
        return bytes(ids)


@given(st.text("aβ中", max_size=12), st.lists(st.text("aβ", min_size=1, max_size=3), max_size=2), st.booleans())
def test_the_pieces_are_the_text_before_the_first_stop_string(text, stop, end):
    stream, pieces = TextStream(Bytes(), stop, [256]), []
    for token in [*text.encode(), *[256] * end]:
        pieces.append(stream.add(token))
        assert "\ufffd" not in pieces[-1]
    expected = text[: min((text.index(s) for s in stop if s in text), default=len(text))]
    assert stream.ended == (end or expected != text)
    assert "".join([*pieces, stream.rest()]) == expected == stream.text
    assert stream.ended and stream.add(97) == stream.rest() == ""


def test_held_back_is_what_may_become_a_stop_string_and_no_more():
    stream = TextStream(Bytes(), ["\nUser:"])
    assert [stream.add(token) for token in b"a\nUs\nUse, \nU"] == [
        "a", "", "", "", "\nUs", "", "", "", "\nUse,", " ", "", ""]  # fmt: skip
    assert stream.rest() == "\nU" and stream.text == "a\nUs\nUse, \nU"


def test_bytes_that_become_no_character_are_shown_as_such():
    stream = TextStream(Bytes())
    assert [stream.add(token) for token in (0xE4, 0xB8, 0xAD, 0xFF, 97)] == ["", "", "中", "\ufffd", "a"]


def test_the_beginning_of_a_character_at_the_end_is_left_out():
    stream = TextStream(Bytes())
    assert stream.add(0xE4) == "" and stream.rest() == ""
    assert whole_text(Bytes(), "中文".encode()[:-1]) == "中" and whole_text(Bytes(), "中文".encode()) == "中文"


def test_an_empty_stop_string_is_refused():
    with pytest.raises(ValueError, match="a stop string is empty"):
        TextStream(Bytes(), ["."] + [""])


def test_ids_may_be_numpys():
    assert TextStream(Bytes(), (), [7]).add(np.int64(7)) == ""
