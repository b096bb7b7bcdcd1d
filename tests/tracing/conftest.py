"""A real browser for the tests of the page: the system's own Chromium; without one they are skipped, and say so."""

import shutil

import pytest

from tests.tracing.browser import Opened
from tests.tracing.recordings import record
from tinyllm.tracing.page import to_html

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-ipc-flooding-protection"]


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def recorded():
    """The recording of a step of a GPT of two layers, and its gradients."""
    pytest.importorskip("latex2mathml")
    return record()


@pytest.fixture(scope="session")
def html(recorded):
    return to_html(recorded[0])


@pytest.fixture
def open_page(browser, tmp_path):
    """open_page(html, address="#step=3", …) -> Opened; at the end nothing may have been requested or complained of."""
    opened = []

    def open_it(html, address="", **options):
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(html, encoding="utf-8")
        opened.append(Opened(browser, path, address, **options))
        return opened[-1]

    yield open_it
    for one in opened:
        one.context.close()
        assert all(url.startswith("file://") for url in one.requests) and len(one.requests) == 1
        assert not one.complaints
