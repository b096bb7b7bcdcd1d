"""Where formulas break: huge scores, constant rows, large means, one class, nothing to count; each has its bound."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.op_cases import Case
from tests.op_checks import assert_close, run, run_torch, upstream
from tinyllm import Tensor, ops
from tinyllm.autograd import OPS
from tinyllm.ops.erf import erf

TINY = {"float64": 1e-12, "float32": 1e-5}
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def compare(name, case, dtype, bound, floor=1e-6):
    """Value and gradients against torch, relative to the largest entry, or to `floor` where all are smaller."""
    ours, theirs = run(OPS[name], case, dtype), run_torch(case, dtype)
    assert_close(f"{name} value", ours.y, theirs.y, bound, floor)
    for i, (a, b) in enumerate(zip(ours.grads, theirs.grads)):
        if a is not None:
            assert_close(f"{name} gradient {i}", a, b, bound, floor)
    return ours


SCORES = {
    "±1e4": np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4 - 1]]),
    "constant rows": np.full((2, 5), 3.0),
    "one class": np.array([[7.0], [-2.0]]),
    "-inf is never": np.array([[0.0, -np.inf, 1.0]]),
}


@both_dtypes
@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES.keys())
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, scores, dtype):
    if name == "log_softmax" and np.isinf(scores).any():
        pytest.skip("log 0 is -inf, whose gradient has no number")
    case = Case([scores], lambda x: getattr(torch, name)(x, -1), {"axis": -1})
    run_ = compare(name, case, dtype, TINY[dtype])
    assert np.isfinite(run_.y).all() and np.isfinite(run_.grads[0]).all()


@both_dtypes
@pytest.mark.parametrize("scores", [SCORES[k] for k in ("±1e4", "constant rows", "one class")])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(scores, reduction, dtype):
    targets = np.arange(len(scores)) % scores.shape[1]
    case = Case([scores, targets], lambda x, t: F.cross_entropy(x, t, reduction=reduction), {"reduction": reduction})
    assert np.isfinite(compare("cross_entropy", case, dtype, TINY[dtype]).y).all()


@both_dtypes
def test_cross_entropy_of_a_confident_mistake_is_large_and_not_infinite(dtype):
    x = Tensor(np.array([[1e4, 0.0]], dtype), requires_grad=True)
    loss = ops.cross_entropy(x, np.array([1]))
    loss.backward()
    assert loss.item() == 1e4 and x.grad.tolist() == [[1.0, -1.0]]


@both_dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_with_all_targets_ignored(reduction, dtype):
    """The mean of nothing is NaN, as in torch; no gradient comes of it."""
    inputs = [np.ones((2, 3)), np.full(2, -100)]
    case = Case(inputs, lambda x, t: F.cross_entropy(x, t, reduction=reduction), {"reduction": reduction})
    result = compare("cross_entropy", case, dtype, 0)
    assert np.isnan(result.y).all() == (reduction == "mean")
    assert not result.grads[0].any()


LAYER_NORM_ROWS = {
    # the row, and the bounds in float64 and float32
    "a mean of 1e5": (1e5 + np.array([[0.0, 1.0, -1.0, 2.0]]), {"float64": 1e-10, "float32": 2e-2}),  # eats 5 digits
    "a spread of 1e4": (1e4 * np.array([[0.5, -1.0, 2.0, 0.1]]), {"float64": 1e-12, "float32": 1e-5}),
    "a constant row": (np.full((1, 4), 3.0), {"float64": 1e-12, "float32": 1e-5}),  # only eps is left: 1/√eps = 316
    "one channel": (np.array([[5.0], [-1.0]]), {"float64": 1e-12, "float32": 1e-5}),
}


@both_dtypes
@pytest.mark.parametrize("row", LAYER_NORM_ROWS.values(), ids=LAYER_NORM_ROWS.keys())
def test_layer_norm(row, dtype):
    x, bound = row
    C = x.shape[1]
    inputs = [x, np.linspace(0.5, 2, C), np.linspace(-1, 1, C)]
    case = Case(inputs, lambda x, w, b: F.layer_norm(x, (C,), w, b))
    compare("layer_norm", case, dtype, bound[dtype], floor=1.0)


@both_dtypes
@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_erf", "sigmoid", "tanh"])
def test_activations_from_minus_1e4_to_1e4(name, dtype):
    """Far below 0, 1 + tanh and 1 + erf cancel: what is left of them is rounding, of the size of x · 1e-16 (1e-7)."""
    reference = {
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "gelu_erf": F.gelu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
    x = np.concatenate((-np.geomspace(1e4, 1e-4, 60), [0.0], np.geomspace(1e-4, 1e4, 60)))
    for values in (x[np.abs(x) < 10], x):
        assert np.isfinite(compare(name, Case([values], reference[name]), dtype, TINY[dtype]).grads[0]).all()


@both_dtypes
def test_attention_scores_of_1e4(dtype):
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((1, 5, 12))
    qkv[..., :8] *= 100  # q and k: the weights are all 0 or 1
    case = Case([qkv, None], lambda x, _: F.scaled_dot_product_attention(
        *(part.view(1, 5, 2, 2).transpose(1, 2) for part in x.split(4, 2)), is_causal=True
    ).transpose(1, 2).reshape(1, 5, 4), {"n_head": 2})  # fmt: skip
    # a score of 1e4 is known to 1e4 · 2⁻⁵³, so is the exponent, and with it each weight
    compare("causal_attention", case, dtype, {"float64": 1e-10, "float32": 1e-2}[dtype])


@both_dtypes
def test_binary_cross_entropy_at_certainty(dtype):
    """log 0 is cut off at −100 and the gradient's divisor at 1e-12, as in torch."""
    p, target = np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    case = Case([p, target], F.binary_cross_entropy)
    ours, theirs = run(OPS["binary_cross_entropy"], case, dtype), run_torch(case, dtype)
    assert_close("loss", ours.y, theirs.y, TINY[dtype])
    assert ours.y == pytest.approx((100 + 100 + np.log(2)) / 5)
    # torch's 1e-12 is a float32 constant, 4e-9 smaller
    assert_close("dp", ours.grads[0], theirs.grads[0], 1e-8 if dtype == "float64" else 1e-5)
    # the loss is 100 · target there and 100 · (1 − target), so its slope in the target is 100; torch says infinity
    assert np.allclose(ours.grads[1], upstream(ours.y) * np.array([100, -100, 100, -100, 0]) / 5, rtol=1e-5)


@both_dtypes
def test_binary_cross_entropy_with_logits_of_1e4(dtype):
    case = Case([np.array([1e4, -1e4, 1e4, -1e4]), np.array([1.0, 0.0, 0.0, 1.0])], F.binary_cross_entropy_with_logits)
    assert compare("binary_cross_entropy_with_logits", case, dtype, TINY[dtype]).y == 5e3


@both_dtypes
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_nothing_in_nothing_out(shape, dtype):
    for function in (ops.exp, ops.relu, ops.gelu, ops.negative, lambda x: ops.sum(x, axis=-1)):
        x = Tensor(np.zeros(shape, dtype), requires_grad=True)
        y = function(x)
        y.backward(np.ones_like(y.data))
        assert x.grad.shape == shape and y.dtype == dtype


def test_erf_is_as_good_as_the_c_library():
    x = np.concatenate((np.linspace(-7, 7, 20001), [1e300, -1e300, 0.0, -0.0, 5e-324]))
    assert np.abs(erf(x) - [math.erf(v) for v in x]).max() <= 5e-16
    assert np.array_equal(erf(-x), -erf(x)) and np.signbit(erf(np.array(-0.0)))
    x = np.linspace(-7, 7, 20001, dtype=np.float32)
    assert erf(x).dtype == np.float32
    assert np.abs(erf(x) - [math.erf(v) for v in x]).max() <= 2e-7
