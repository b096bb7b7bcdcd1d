"""`cupy` in these tests is the stand-in, which needs no GPU; what needs one is in test_real.py."""

import pytest

from tests.fake_cupy import stand_in


@pytest.fixture
def cupy():
    with stand_in() as module:
        yield module
