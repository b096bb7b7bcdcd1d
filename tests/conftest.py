"""One hypothesis profile that gives the same examples everywhere, and numpy that never shrugs off an overflow."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

import tinyllm
from tests.browser import chromium
from tinyllm.observe import plain_ops

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

torch.set_num_threads(1)  # the arrays are so small that threads would mostly wait for each other


@pytest.fixture(autouse=True)
def strict_numpy():
    """Overflow, 0/0 and 1/0 raise; underflow to 0 is what softmax lives by."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(autouse=True)
def plain(request):
    """The ops as they stand in the book, but where kernels are what is tested, or a training that uses them."""
    if {"kernels", "cuda", "parallel", "training", "cli"} & set(request.path.parts):
        yield
    else:
        with plain_ops():
            yield


@pytest.fixture(scope="session")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(autouse=True)
def seeded():
    tinyllm.manual_seed(0)
