"""layer_norm.cu against the plain op: odd sizes, many blocks, extreme rows; into places; float32 and bfloat16."""

import numpy as np
import pytest

from tests.cuda.checks import check_kernel
from tests.op_cases import Case

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def case(*shape, **options):
    C = shape[-1]
    return Case([normal(*shape), normal(C), normal(C, seed=1)], None, options)


def check(cupy):
    """Several rounds of a block, whose threads are 32 or more columns by several groups; several blocks."""
    check_kernel("layer_norm", case(70, 65), "float32")
    check_kernel("layer_norm", case(70, 24), "float32")


@both
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 65), (70, 24), (9, 768), (2, 4100), (0, 7)], ids=str)
def test_equals_the_op(shape, dtype, cupy):
    check_kernel("layer_norm", case(*shape), dtype)
