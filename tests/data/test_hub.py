"""GPT-2 from a hub: fetched once, checked, gone on with where it was cut. The hub is a server of ours, the model tiny.

The server answers as the real one does: small files at once, under the name that git has for them; large ones by
sending to another host, after it has said their sha256.
"""

import gc
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig
from tinyllm.cli import main
from tinyllm.data import hub

COMMIT = hub.MODELS["gpt2"]


class Hub(ThreadingHTTPServer):
    """files: {name: content}; a file in `cut` is sent as far as that, once."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests, self.cut, self.sent_instead, self.headers = files, [], {}, {}, {}
        self.status, self.ranges = 200, True


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(None)

    def do_GET(self):
        self.answer(self.headers.get("Range"))

    def answer(self, asked):
        server, (place, name) = self.server, self.path.rsplit("/", 1)
        server.requests.append((self.command, name, asked))
        if server.status != 200 or name not in server.files:
            self.send_error(server.status if server.status != 200 else 404)
            return
        content = server.files[name]
        large = name == "model.safetensors"
        assert place == f"/openai-community/gpt2/resolve/{COMMIT}" or place == "/elsewhere"
        if large and place != "/elsewhere":
            self.send_response(302)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Location", f"http://localhost:{server.server_port}/elsewhere/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if start >= len(content) and start:
            self.send_error(416)
            return
        body = server.sent_instead.get(name, content)[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if not large:
            self.send_header("ETag", server.headers.get("ETag", f'"{git}"'))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: server.cut.pop(name, None)])

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=1, n_embd=12), seed=3).save_pretrained(folder)
    for name in ("generation_config.json", "vocab.json", "merges.txt", "tokenizer.json"):
        (folder / name).write_text("{}")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def server(files, tmp_path, monkeypatch):
    with Hub(files) as server:
        monkeypatch.setitem(hub.SHA256, "gpt2", hashlib.sha256(files["model.safetensors"]).hexdigest())
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.chdir(tmp_path)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    gc.collect()  # a connection that was left open is told of here, and not in a test that knows nothing of it


def kept(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def asked(server):
    return [request for request in server.requests if request[0] == "GET"]


def test_it_is_fetched_once_to_where_transformers_looks(server, files, tmp_path):
    folder = hub.download_model("gpt2")
    assert folder == tmp_path / f"home/hub/models--openai-community--gpt2/snapshots/{COMMIT}"
    assert kept(folder) == files
    assert (folder.parents[1] / "refs/main").read_text() == COMMIT
    server.requests.clear()
    assert hub.download_model("gpt2") == folder and not server.requests


def test_what_was_fetched_is_loaded_by_its_name_without_the_network(server):
    with pytest.raises(FileNotFoundError, match="gpt2 is not here yet; get it with: tinyllm data download gpt2"):
        GPT.from_pretrained("gpt2")
    hub.download_model("gpt2")
    server.status = 500
    assert GPT.from_pretrained("gpt2").config.n_embd == 12


def test_a_folder_of_that_name_wins(server, tmp_path):
    GPT(GPTConfig(n_embd=8, n_head=1)).save_pretrained(tmp_path / "gpt2")
    assert GPT.from_pretrained("gpt2").config.n_embd == 8


def test_transformers_finds_it(server):
    from huggingface_hub import try_to_load_from_cache

    folder = hub.download_model("gpt2")
    found = try_to_load_from_cache("openai-community/gpt2", "config.json", cache_dir=folder.parents[2])
    assert Path(found) == folder / "config.json"


def test_another_place(server, files, tmp_path, monkeypatch):
    assert kept(hub.download_model("gpt2", tmp_path / "mine")) == files
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert hub.model_folder("gpt2").is_relative_to(tmp_path / "cache")
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert hub.model_folder("gpt2").is_relative_to(tmp_path / ".cache/huggingface/hub")


def test_a_file_that_is_there_is_not_fetched_again(server, files, tmp_path):
    folder = hub.download_model("gpt2", tmp_path / "mine")
    (folder / "vocab.json").unlink()
    server.requests.clear()
    hub.download_model("gpt2", folder)
    assert asked(server) == [("GET", "vocab.json", None)]


# resume


def test_a_connection_that_is_cut_is_gone_on_with(server, files):
    server.cut["model.safetensors"] = 1000
    assert kept(hub.download_model("gpt2")) == files
    assert asked(server)[-2:] == [("GET", "model.safetensors", "bytes=1000-")] * 2, "here, and where it is sent to"


def test_a_download_that_was_killed_is_gone_on_with(server, files, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/model.safetensors.part").write_bytes(files["model.safetensors"][:3000])
    seen = []
    hub.download_model("gpt2", tmp_path / "mine", lambda *state: seen.append(state))
    assert kept(tmp_path / "mine") == files
    assert asked(server)[-1] == ("GET", "model.safetensors", "bytes=3000-")
    size = len(files["model.safetensors"])
    assert seen[-1] == ("model.safetensors", size, size)


@pytest.mark.parametrize("length", [10**6, None], ids=["longer", "complete"])
def test_other_leftovers(server, files, tmp_path, length):
    (tmp_path / "mine").mkdir()
    content = files["model.safetensors"] if length is None else b"x" * length
    (tmp_path / "mine/model.safetensors.part").write_bytes(content)
    assert kept(hub.download_model("gpt2", tmp_path / "mine")) == files


def test_a_server_that_cannot_go_on_begins_again(server, files, tmp_path):
    server.ranges = False
    server.cut["model.safetensors"] = 1000
    assert kept(hub.download_model("gpt2", tmp_path / "mine")) == files


def test_a_connection_that_is_cut_again_and_again_is_given_up_and_what_came_is_kept(server, files, monkeypatch):
    monkeypatch.setattr(hub, "TRIES", 1)
    server.cut["model.safetensors"] = 1000
    with pytest.raises(OSError, match=r"cannot download .*model.safetensors \(.*\); call it again, and it goes on"):
        hub.download_model("gpt2")
    assert (hub.model_folder("gpt2") / "model.safetensors.part").stat().st_size == 1000
    assert kept(hub.download_model("gpt2")) == files


# what is not right


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
def test_another_content_is_not_kept(server, files, name):
    server.sent_instead[name] = bytes(len(files[name]))
    with pytest.raises(ValueError, match=f"{name} is not what was expected: its digest is .* Nothing was kept"):
        hub.download_model("gpt2")
    assert not {name, f"{name}.part"} & set(kept(hub.model_folder("gpt2")))


def test_the_sha256_we_know_is_what_counts(server, monkeypatch):
    """A hub that announces the digest of what it sends may still send something else."""
    monkeypatch.setitem(hub.SHA256, "gpt2", "0" * 64)
    with pytest.raises(ValueError, match=f"not {'0' * 64}; something on the way has changed it"):
        hub.download_model("gpt2")


def test_more_than_was_announced_is_not_read_on(server, files):
    server.sent_instead["model.safetensors"] = files["model.safetensors"] + b"more"
    with pytest.raises(OSError, match="more than the [0-9,]+ bytes that were announced"):
        hub.download_model("gpt2")


def test_a_server_that_is_no_hub(server):
    server.headers["ETag"] = '"abc"'
    with pytest.raises(OSError, match="announces no size and no digest of the file; it is no Hugging Face hub"):
        hub.download_model("gpt2")


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_server_that_refuses(server, status):
    server.status = status
    with pytest.raises(OSError, match=f"cannot download http://127.0.0.1.*config.json .*HTTP Error {status}: "):
        hub.download_model("gpt2")


def test_nobody_there(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="cannot download .*refused.* fetch the files elsewhere and use their folder"):
        hub.download_model("gpt2")


def test_a_disk_that_is_too_small(server, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 7})())
    with pytest.raises(OSError, match="has room for 7 bytes, and [0-9,]+ are to come"):
        hub.download_model("gpt2")
    assert not asked(server)


# the command


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["data", "download", *arguments])
    return left.value.code, *capsys.readouterr()


def test_the_command_prints_the_folder_and_shows_how_far_it_is(server, files, capsys):
    code, out, err = command(capsys, "gpt2")
    assert (code, out) == (0, f"{hub.model_folder('gpt2')}\n")
    assert re.search(r"model.safetensors .* ([\d.]+)/\1 kB", err)
    assert command(capsys, "gpt2") == (0, out, ""), "there is nothing to wait for"


def test_the_command_may_be_quiet_and_have_its_own_folder(server, files, capsys, tmp_path):
    assert command(capsys, "gpt2", "--quiet", "--out-dir", "mine") == (0, "mine\n", "")
    assert kept(tmp_path / "mine") == files


def test_mistakes_of_the_command(server, capsys):
    assert "there is no 'gpt3' to download; choose one of gpt2, gpt2-medium, gpt2-" in command(capsys, "gpt3")[2]
    assert "--out-dir is for models" in command(capsys, "shakespeare", "--out-dir=mine")[2]
    server.status = 404
    code, out, err = command(capsys, "gpt2")
    assert (code, out) == (2, "") and err.startswith("tinyllm: cannot download ") and len(err.splitlines()) == 1


def test_the_model_that_was_fetched_is_whole(server):
    model = GPT.from_pretrained(hub.download_model("gpt2"))
    expected = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=1, n_embd=12), seed=3)
    assert np.array_equal(model.wte.weight.data, expected.wte.weight.data)
