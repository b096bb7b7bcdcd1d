from hypothesis import given
from hypothesis import strategies as st

from tinyllm.tokenizers import BPETokenizer, CharTokenizer, stream_text

BYTES = BPETokenizer.train("", 256)  # no merges: a token is a byte, every character beyond ASCII is cut
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_every_part_is_whole_characters_and_together_they_are_the_text(text):
    parts = list(stream_text(BYTES, BYTES.encode(text)))
    assert "".join(parts) == text and "" not in parts
    assert parts == list(text), "each comes as soon as it is whole"


def test_what_is_unfinished_at_the_end_is_not_shown_and_what_is_no_character_is():
    assert "".join(stream_text(BYTES, "好".encode()[:2])) == ""
    assert "".join(stream_text(BYTES, b"a\xffb")) == "a\ufffdb"


def test_characters_stream_too():
    tokenizer = CharTokenizer.train("词 宋")
    assert list(stream_text(tokenizer, tokenizer.encode("宋词"))) == ["宋", "词"]
