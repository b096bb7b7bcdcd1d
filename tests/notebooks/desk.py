"""Jupyter and marimo as they are started on a desk: a server on this machine, with a notebook to open."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
CELLS = [
    """
import numpy as np
import tinyllm
ids = np.array([[0, 3, 1, 3, 2]])
model = tinyllm.GPT(tinyllm.GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=2, n_embd=8), seed=0)
with tinyllm.trace() as t:
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
""",
    "t",
    "model.wte.weight",
    "model",
]


def jupyter_notebook(path):
    """CELLS as a notebook that was never run."""
    cells = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [], "execution_count": None,
              "source": source.strip()} for i, source in enumerate(CELLS)]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def marimo_notebook(path):
    """CELLS as marimo's Python file."""
    first, *others = (source.strip().replace("\n", "\n    ") for source in CELLS)
    text = f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n    {first}\n    return model, t\n"
    for source in others:
        text += f"\n\n@app.cell\ndef _({source.partition('.')[0]}):\n    {source}\n    return\n"
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def serving(directory, *command):
    """Run `python -m command…` in a directory, {port} replaced by a free one; gives its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    with open(directory / "server.log", "wb") as log:
        server = subprocess.Popen(command, cwd=directory, env=environment(directory), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            if server.poll() is not None:
                raise RuntimeError((directory / "server.log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def environment(directory):
    """Whatever they keep, they keep in the directory, and the tinyllm they import is this one."""
    places = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME",
              "XDG_CACHE_HOME", "XDG_STATE_HOME")  # fmt: skip
    return os.environ | {place: str(directory / "home") for place in places} | {"PYTHONPATH": str(ROOT)}
