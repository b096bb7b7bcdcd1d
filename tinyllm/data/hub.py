"""GPT-2's weights and tokenizer from the Hugging Face hub: fetched once, checked, and kept where transformers looks.

A download that is cut goes on where it stopped. What is there already is used without a look at the network.
"""

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from ..files import sync

MODELS = {  # name: the commit that is fetched, whatever comes after it
    "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "gpt2-medium": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
    "gpt2-large": "32b71b12589c2f8d625668d2335a01cac3249519",
    "gpt2-xl": "15ea56dee5df4983c59b2538573817e1667135e2",
}
FILES = ("config.json", "generation_config.json", "vocab.json", "merges.txt", "tokenizer.json", "model.safetensors")
SHA256 = {  # of model.safetensors, where we know it ourselves; else what the hub says is believed
    "gpt2": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    "gpt2-xl": "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
}
TRIES, CHUNK, TIMEOUT = 5, 1 << 20, 30  # of a file, bytes, seconds


def model_folder(name):
    """Where a model of the hub is, or will be: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
    return cache / f"models--openai-community--{name}" / "snapshots" / MODELS[name]


def download_model(name, folder=None, progress=None):
    """The folder with the files of a model in MODELS, those that were missing fetched ($HF_ENDPOINT, or the hub).

    progress: called with (file, bytes that are here, bytes in all) as it goes on.
    """
    in_cache = folder is None
    folder = model_folder(name) if in_cache else Path(folder)
    if all((folder / file).exists() for file in FILES):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        for file in FILES:
            if not (folder / file).exists():
                _fetch(name, file, folder, progress or (lambda *state: None))
    if in_cache and not (refs := folder.parents[1] / "refs" / "main").exists():
        refs.parent.mkdir(exist_ok=True)
        refs.write_text(MODELS[name])  # which commit `transformers` takes when it is offline
    return folder


def _fetch(name, file, folder, progress):
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/openai-community/{name}/resolve/{MODELS[name]}/{file}"
    part = folder / f"{file}.part"
    try:
        size, announced = _ask(url)
        _check_room(folder, part, size)
        for _ in range(TRIES):
            try:
                _receive(url, part, size, lambda here: progress(file, here, size))
                break
            except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
                cut = error  # what is here stays; the next try goes on behind it
        else:
            raise cut
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">") or type(error).__name__
        raise OSError(f"cannot download {url} ({reason}); call it again, and it goes on where it stopped, or fetch the "
                      f"files elsewhere and use their folder: {', '.join(FILES)}") from error
    expected = SHA256.get(name, announced) if file == "model.safetensors" else announced
    if (found := _digest(part, expected)) != expected:
        part.unlink()
        raise ValueError(f"{url} is not what was expected: its digest is {found}, not {expected}; something on the way "
                         "has changed it. Nothing was kept")
    sync(part)
    os.replace(part, folder / file)


def _ask(url):
    """The size of a file, and its digest as the hub announces it."""
    try:
        with urllib.request.build_opener(_StayHere).open(_request(url, method="HEAD"), timeout=TIMEOUT) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code >= 400:
            raise
        headers = answer.headers  # a redirection to where the content is: it knows the file, the other place may not
    digest = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
    if len(digest) not in (40, 64) or not size.isdecimal():
        raise ConnectionError("the server announces no size and no digest of the file; it is no Hugging Face hub")
    return int(size), digest


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows a redirection on the same host alone."""

    def redirect_request(self, request, file, code, message, headers, address):
        if urlsplit(address).netloc != urlsplit(request.full_url).netloc:
            return None
        return _request(address, method="HEAD")


def _receive(url, part, size, progress):
    """Write to the file `part` what it lacks."""
    here = part.stat().st_size if part.exists() else 0
    if here > size:
        here = 0
    with open(part, "r+b" if here else "wb") as file:
        if here < size or not size:
            request = _request(url, headers={"Range": f"bytes={here}-"} if here else {})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                if answer.status != 206:  # all of it, from the beginning
                    here = 0
                file.seek(here)
                file.truncate()
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    here += len(chunk)
                    progress(here)
                    if here > size:
                        raise ConnectionError(f"more than the {size:,} bytes that were announced")
    if here < size:
        raise ConnectionError(f"cut after {here:,} of {size:,} bytes")


def _request(url, headers=None, method=None):
    return urllib.request.Request(url, headers={"User-Agent": "tinyllm", "Accept-Encoding": "identity",
                                                **(headers or {})}, method=method)  # fmt: skip


def _check_room(folder, part, size):
    needed, free = size - (part.stat().st_size if part.exists() else 0), shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{folder} has room for {free:,} bytes, and {needed:,} are to come; make room there, or name "
                      "another place with HF_HOME")


def _digest(path, like):
    """sha256 of a file; or, where `like` is as short as git's names of files are, its name in git."""
    hashed = hashlib.sha256() if len(like) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def local_model(path):
    """A folder as it is; the name of a model in MODELS, where no folder is called so, as the folder it was put in."""
    if Path(path).exists() or str(path) not in MODELS:
        return Path(path)
    folder = model_folder(str(path))
    if not (folder / "model.safetensors").exists():
        raise FileNotFoundError(f"{path} is not here yet; get it with: tinyllm data download {path}")
    return folder
