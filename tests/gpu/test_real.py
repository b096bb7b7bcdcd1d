"""On a real GPU: both backends in one process, op by op, and the checks of benchmarks/gpu_check.py in small."""

import pytest

from benchmarks.gpu import numbers
from tinyllm.backend import require


@pytest.fixture(autouse=True)
def gpu():
    try:
        require("cupy")
    except ImportError as error:
        pytest.skip(f"shown on no GPU: {error}")


@pytest.mark.parametrize("section", [numbers.products, numbers.ops, numbers.model, numbers.training, numbers.resume])
def test_the_numbers_are_numpys(section):
    rows = list(section(small=True))
    assert rows and not [row for row in rows if not row["ok"]]
