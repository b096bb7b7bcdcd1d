"""Kernels in CUDA C++ on the CPU: `cupy` is the stand-in, whose RawModule runs them through the shim."""

import pytest

from tests.cuda.shim import compiler
from tests.fake_cupy import stand_in


@pytest.fixture
def cupy():
    if not compiler():
        pytest.skip("no g++ here: no kernel can run on the CPU")
    with stand_in() as module:
        yield module
