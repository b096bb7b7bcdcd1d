"""A recording, its page, and the page in a real browser."""

import pytest

from tests.tracing.browser import Opened
from tests.tracing.recordings import record
from tinyllm.tracing.page import to_html


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
