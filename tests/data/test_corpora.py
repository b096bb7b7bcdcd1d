import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.data import python_manual, read_text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_text_is_read_as_it_stands_in_the_file(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_bytes(text.encode("utf-8"))
    assert read_text(path) == text
    assert read_text(str(path)) == text


def test_line_ends_and_byte_order_mark_are_kept(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(path) == "\ufeffa\r\nb\rc\n"


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.txt: no such file"):
        read_text(tmp_path / "nowhere.txt")


def test_a_directory(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} is a folder")):
        read_text(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"caf\xe9 au lait", "not UTF-8 text: byte 0xe9 at offset 3"),
        (b"ab\xe2\x82", "not UTF-8 text: byte 0xe2 at offset 2"),  # the file ends inside a character
        (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 text: byte 0x00 at offset 8"),
        ("hi".encode("utf-16-le"), "not UTF-8 text: byte 0x00 at offset 1; is it binary, or UTF-16?"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path}") + f".*{re.escape(message)}") as error:
        read_text(path)
    assert "\n" not in str(error.value)


def test_the_python_manual_is_its_topics_sorted():
    topics = pytest.importorskip("pydoc_data.topics").topics
    manual = python_manual()
    assert manual == python_manual()
    assert manual.startswith(topics[min(topics)]) and manual.endswith(topics[max(topics)])
    assert len(manual) == sum(map(len, topics.values())) + len(topics) - 1
    assert len(manual) > 300_000


def test_the_order_of_the_manual_is_by_key(monkeypatch):
    monkeypatch.setattr(pytest.importorskip("pydoc_data.topics"), "topics", {"b": "two", "a": "one"})
    assert python_manual() == "one\ntwo"


def test_a_python_without_its_manual(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match="--data PATH"):
        python_manual()
