"""Ops of bfloat16 arrays where there is no kernel: what float32 gives, rounded."""

import ml_dtypes
import numpy as np
import pytest

from tests.op_cases import MAKERS, examples
from tests.op_checks import upstream
from tinyllm import Tensor, ops
from tinyllm.autograd import OPS, gradients
from tinyllm.observe import plain_ops

BFLOAT = np.dtype(ml_dtypes.bfloat16)
FLOAT = np.dtype(np.float32)


def run(name, inputs, options, dtype):
    made = [x if x is None else Tensor(x.astype(dtype) if x.dtype == BFLOAT else x, x.dtype == BFLOAT) for x in inputs]
    y = OPS[name](*made, **options)
    if not y.requires_grad:
        return y.data, []
    dy = upstream(np.empty(y.shape)).astype(BFLOAT).astype(y.dtype)
    found = gradients(y, dy)
    return y.data, [found.get(x) for x in made if x is not None]


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_is_float32_s_rounded(name):
    with plain_ops():
        for case in examples(name, 3):
            inputs = [x.astype(BFLOAT) if x is not None and x.dtype.kind == "f" else x for x in case.inputs]
            (y, grads), (exact, exact_grads) = (run(name, inputs, case.options, dtype) for dtype in (BFLOAT, FLOAT))
            assert y.dtype == (FLOAT if exact.dtype == FLOAT and not y.ndim else exact.astype(BFLOAT).dtype
                               if exact.dtype == FLOAT else exact.dtype)  # fmt: skip
            assert np.array_equal(y, exact.astype(y.dtype), equal_nan=True)
            for grad, theirs in zip(grads, exact_grads, strict=True):
                assert (grad is None) == (theirs is None)
                if grad is not None:
                    assert grad.dtype == BFLOAT
                    assert np.array_equal(grad, theirs.astype(BFLOAT), equal_nan=True)


def test_one_number_stays_float32():
    x = Tensor(np.ones(300).astype(BFLOAT), requires_grad=True)
    total = x.sum()
    assert total.dtype == FLOAT and total.item() == 300, "bfloat16 would say 256"
    ops.multiply(total, 2.0).backward()
    assert x.grad.dtype == BFLOAT and (x.grad == 2).all()


def test_kernels_of_the_cpu_are_for_what_numpy_has():
    import tinyllm.kernels  # noqa: F401  (attaches them)

    assert all("bfloat16" not in op.kernels["numpy"].dtypes for op in OPS.values() if "numpy" in op.kernels)
