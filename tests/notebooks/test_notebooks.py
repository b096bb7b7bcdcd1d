"""In Jupyter and in marimo, run as on a desk and seen in a browser: the stepper steps, tensors and models show.

Each is skipped where it is not installed. TINYLLM_PICTURES: a folder that gets pictures of both.
"""

import os
import re
from importlib.util import find_spec

import pytest

from tests.notebooks.desk import environment, jupyter_notebook, marimo_notebook, serving

SLOW = 60_000  # milliseconds: a kernel starts, and torch is imported for the checks


def needs(package):
    missing = f"{package} is not installed: pip install 'tinyllm-numpy[notebook]'"
    return pytest.mark.skipif(find_spec(package) is None, reason=missing)


@pytest.fixture
def tab(browser):
    tab = browser.new_page(viewport={"width": 1400, "height": 1800})
    yield tab
    tab.close()


@pytest.fixture
def complaints(tab):
    """What the browser finds wrong while the tab is used."""
    found = []
    tab.on("pageerror", lambda error: found.append(str(error)))
    tab.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def assert_all_is_shown(tab):
    """The recording steps in its frame, forth and back; a tensor and a model show their numbers as colours."""
    frame = tab.frame_locator("iframe[title^=Step]")
    frame.locator("#title").wait_for(timeout=SLOW)
    assert "step 0 of" in frame.locator("#counter").inner_text()
    frame.locator("[data-do=next]").click()
    frame.locator("body").press("ArrowRight")
    assert "step 2 of" in frame.locator("#counter").inner_text()
    frame.locator("body").press("b")
    assert "seed" in frame.locator("#phase").inner_text().lower()
    frame.locator("body").press("Home")
    assert "step 0 of" in frame.locator("#counter").inner_text()

    tensor, model = tab.locator(".tinyllm-repr").all()
    assert "name=wte.weight" in tensor.inner_text() and tensor.locator("figure").count() == 2  # and its gradient
    assert tensor.locator("path.above").first.evaluate("path => getComputedStyle(path).stroke") == "rgb(191, 67, 0)"
    block = model.locator("summary", has_text="(0): Block()")
    attention = model.locator("summary", has_text="(attn)")
    assert not attention.is_visible()
    block.click()
    assert attention.is_visible()


@needs("jupyterlab")
def test_jupyter(tmp_path, tab, complaints):
    jupyter_notebook(tmp_path / "walk.ipynb")
    options = ["--no-browser", "--allow-root", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"]
    with serving(tmp_path, "jupyterlab", "--ServerApp.port={port}", *options) as address:
        tab.goto(f"{address}/lab/tree/walk.ipynb")
        tab.get_by_text(re.compile(r"Python 3.*\| Idle")).wait_for(timeout=SLOW)
        tab.get_by_role("menuitem", name="Run", exact=True).click()
        tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        assert_all_is_shown(tab)
        look(tab, "jupyter")
        assert not complaints
        tab.close()


@needs("nbconvert")
def test_a_notebook_that_was_run_and_exported(tmp_path, tab, complaints, monkeypatch):
    import nbclient
    import nbconvert
    import nbformat

    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    jupyter_notebook(tmp_path / "walk.ipynb")
    notebook = nbformat.read(tmp_path / "walk.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=SLOW).execute()
    (tmp_path / "walk.html").write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    tab.route(re.compile("^https?:"), lambda route: route.fulfill(body=""))  # nbconvert's own scripts, from the network
    tab.goto((tmp_path / "walk.html").as_uri())
    assert_all_is_shown(tab)
    assert not [text for text in complaints if "require" not in text.lower()]  # nbconvert's, which did not come


@needs("marimo")
def test_marimo(tmp_path, tab, complaints):
    marimo_notebook(tmp_path / "walk.py")
    command = ["marimo", "run", "walk.py", "--headless", "--no-token", "--port", "{port}"]
    with serving(tmp_path, *command) as address:
        tab.goto(address)
        assert_all_is_shown(tab)
        look(tab, "marimo")
        assert not complaints
        tab.close()


def look(tab, name):
    if folder := os.environ.get("TINYLLM_PICTURES"):
        tab.screenshot(path=f"{folder}/{name}.png")
