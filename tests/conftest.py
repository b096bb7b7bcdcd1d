"""One hypothesis profile that gives the same examples everywhere, and numpy that never shrugs off an overflow."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

import tinyllm

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

torch.set_num_threads(1)  # the arrays are so small that threads would mostly wait for each other


@pytest.fixture(autouse=True)
def strict_numpy():
    """Overflow, 0/0 and 1/0 raise; underflow to 0 is what softmax lives by."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(autouse=True)
def seeded():
    tinyllm.manual_seed(0)
