"""A file is the old one or the new one, whatever comes in between, and it is on the disk before it has its name."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.files import replace_file, replace_text, sync


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(path, kind):
    replace_file(kind(path), lambda aside: aside.write_text("new"))
    assert path.read_text() == "new" and names(path.parent) == ["file.txt"]


def test_a_file_is_made_where_there_was_none(tmp_path):
    replace_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new" and names(tmp_path) == ["file.txt"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_written_as_it_is(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "file.txt"
    replace_text(path, text)
    assert path.read_bytes() == text.encode("utf-8"), "line ends, too, are the same everywhere"


def test_the_old_file_is_there_while_the_new_one_is_written(path):
    def write(aside):
        aside.write_text("ne")
        assert path.read_text() == "old"
        assert aside.parent == path.parent, "a name can only be moved inside one file system"
        aside.write_text("new")

    replace_file(path, write)
    assert path.read_text() == "new"


def test_who_reads_the_old_file_reads_it_to_its_end(path):
    with open(path) as reader:
        assert reader.read(1) == "o"
        replace_text(path, "new")
        assert reader.read() == "ld"


def test_it_is_on_the_disk_before_it_has_the_name_and_then_the_name_is(path, monkeypatch):
    happened, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(descriptor):
        status = os.fstat(descriptor)
        happened.append("sync folder" if stat.S_ISDIR(status.st_mode) else f"sync {status.st_size} bytes")
        fsync(descriptor)

    def noted_replace(source, target):
        happened.append(f"rename to {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    replace_text(path, "brand new")
    assert happened == ["sync 9 bytes", "rename to file.txt", *["sync folder"] * (os.name == "posix")]


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(path, monkeypatch, failing):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, failing, fail)
        replace_text(path, "new")
    assert path.read_text() == "old" and names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()], ids=["no space", "Ctrl-C"])
def test_what_stops_the_writing_half_way_leaves_the_old_file(path, error):
    def write(aside):
        aside.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        replace_file(path, write)
    assert path.read_text() == "old"
    replace_text(path, "new")
    assert path.read_text() == "new" and names(path.parent) == ["file.txt"]


def test_what_an_earlier_kill_left_aside_is_written_over(path):
    path.with_name("file.txt.tmp").write_text("half of something much longer")
    replace_text(path, "new")
    assert path.read_text() == "new" and names(path.parent) == ["file.txt"]


def test_sync_keeps_no_file_open(path):
    def free():
        descriptor = os.open(path, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = free()
    sync(path)
    if os.name == "posix":
        sync(path.parent)
    assert free() == before


def test_sync_tells_of_a_disk_that_fails(path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        sync(path)
