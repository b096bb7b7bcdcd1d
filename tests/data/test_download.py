"""A text that is downloaded: once, checked, and with one clear message where it cannot be had. The server is ours."""

import gc
import hashlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tinyllm.cli.corpus import load_text
from tinyllm.data import corpora, read_texts

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # requests leaves a refused answer open

TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n" * 200


class Server(HTTPServer):
    """Answers every request with `status` and the first `sent` bytes of `content`, whose length it announces."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.status, self.sent, self.requests = TEXT.encode(), 200, None, 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.sent])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    with Server() as server:
        address = f"http://127.0.0.1:{server.server_port}/input.txt"
        monkeypatch.setitem(corpora.DOWNLOADS, "shakespeare", (address, hashlib.sha256(TEXT.encode()).hexdigest()))
        monkeypatch.setenv("TINYLLM_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    gc.collect()  # closes it here, and not in a test that knows nothing of it


def kept(tmp_path):
    return [path.name for path in (tmp_path / "cache").glob("*")]


def test_it_is_downloaded_once_and_kept(server, tmp_path):
    assert read_texts(["shakespeare"]) == TEXT
    assert kept(tmp_path) == ["shakespeare.txt"]
    server.status = 404
    assert read_texts(["shakespeare"]) == TEXT
    assert server.requests == 1


def test_a_kept_file_that_was_changed_is_downloaded_again(server, tmp_path):
    read_texts(["shakespeare"])
    (tmp_path / "cache/shakespeare.txt").write_text("something else")
    assert read_texts(["shakespeare"]) == TEXT
    assert server.requests == 2


def test_it_is_one_source_among_others(server, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert read_texts(["mine.txt", "shakespeare"]) == f"mine\n\n{TEXT}"


def test_a_file_of_that_name_wins(server, tmp_path):
    (tmp_path / "shakespeare").write_text("to be")
    assert read_texts(["shakespeare"]) == "to be"
    assert server.requests == 0


class Bar:
    """What a progress bar is told."""

    def __init__(self):
        self.total, self.done, self.closed = None, 0, False

    def update(self, size):
        self.done += size

    def reset(self):
        self.done = 0

    def close(self):
        self.closed = True


def test_a_bar_is_told_how_far_it_is(server):
    bar = Bar()
    read_texts(["shakespeare"], bar)
    assert (bar.total, bar.done, bar.closed) == (len(TEXT), len(TEXT), True)


def test_a_bar_is_closed_where_the_connection_is_cut(server):
    """An open one would go on drawing below the message, and leave a terminal without its cursor."""
    server.sent, bar = 5000, Bar()
    with pytest.raises(OSError, match="cannot download"):
        read_texts(["shakespeare"], bar)
    assert bar.closed


def test_the_bar_of_the_command_line_is_on_standard_error(server, capsys):
    assert load_text(["shakespeare"]) == TEXT
    printed = capsys.readouterr()
    assert printed.out == "" and "downloading" in printed.err
    load_text(["shakespeare"])
    assert capsys.readouterr() == ("", ""), "there is nothing to wait for"


def test_quiet_is_quiet(server, capsys):
    assert load_text(["shakespeare"], quiet=True) == TEXT
    assert capsys.readouterr() == ("", "")


MISTAKES = {
    "not found": ({"status": 404}, r"cannot download http://127.0.0.1:\d+/input.txt .* and give its path with --data"),
    "a server that fails": ({"status": 500}, "cannot download .* and give its path with --data"),
    "a connection that is cut": ({"sent": 5000}, "cannot download .* and give its path with --data"),
    "another text": ({"content": b"<html>Please log in</html>"}, "is not the text that was expected: its sha256 is not "
                     "[0-9a-f]{64}; something on the way has changed it. Nothing was kept"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_goes_wrong_gets_one_clear_message_and_keeps_nothing(changes, message, server, tmp_path):
    vars(server).update(changes)
    with pytest.raises((OSError, ValueError), match=message) as error:
        read_texts(["shakespeare"])
    assert "\n" not in str(error.value)
    assert kept(tmp_path) == []
    vars(server).update(status=200, sent=None, content=TEXT.encode())
    assert read_texts(["shakespeare"]) == TEXT, "the next try is a new one"


def test_no_connection(server, monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        port = other.server_port  # free again as soon as it is closed
    address = f"http://127.0.0.1:{port}/input.txt"
    monkeypatch.setitem(corpora.DOWNLOADS, "shakespeare", (address, "0" * 64))
    with pytest.raises(OSError, match=f"cannot download {address} .*; connect, or fetch it elsewhere") as error:
        read_texts(["shakespeare"])
    assert "\n" not in str(error.value)


def test_without_pooch_the_extra_is_named(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    address = re.escape(corpora.DOWNLOADS["shakespeare"][0])
    with pytest.raises(ImportError, match=rf"pip install 'tinyllm-numpy\[data\]'; or fetch {address} yourself"):
        read_texts(["shakespeare"])
    assert server.requests == 0
