"""cross_entropy.cu and linear_cross_entropy: the loss and its gradient over the scores, whatever the targets are."""

import numpy as np
import pytest

from tests.cuda.checks import DTYPES, check_kernel
from tests.op_cases import Case
from tests.op_checks import assert_close
from tinyllm import Tensor, no_grad, ops
from tinyllm.kernels.cuda.linear_cross_entropy import cross_entropy_

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def scores(cupy, dtype, rows, V, seed=0, scale=4.0):
    """(rows, ≥ V) scores, NaN behind the V of each row; the same in float64."""
    x = np.full((rows, -(-V // 64) * 64), np.nan, DTYPES[dtype])
    x[:, :V] = scale * np.random.default_rng([seed, rows, V]).standard_normal((rows, V))
    return cupy.asarray(x), x[:, :V].astype("f8")


def expected(x, targets, ignored=-100):
    """loss, gradient without its factor, 1 / count, in float64."""
    shifted, rows, counted = x - x.max(axis=1, keepdims=True), np.arange(len(x)), targets != ignored
    log_sum, answers = np.log(np.exp(shifted).sum(axis=1)), np.where(counted, targets, 0)
    losses, gradient = log_sum - shifted[rows, answers], np.exp(shifted - log_sum[:, None])
    gradient[rows, answers] -= 1
    return losses[counted].mean(), gradient * counted[:, None], 1 / max(counted.sum(), 1)


def check(cupy, dtype="float32"):
    for rows, V in [(1, 1), (9, 3), (20, 300), (2, 2600)]:
        x, exact = scores(cupy, dtype, rows, V)
        targets = np.random.default_rng(V).integers(0, V, rows)
        targets[1::3] = -100
        loss, share = cross_entropy_(x, V, cupy.asarray(targets), -100)
        exact_loss, gradient, exact_share = expected(exact, targets)
        assert loss.dtype == share.dtype == "float32" and not np.isnan(loss.get())
        assert_close("loss", loss.get().astype("f8"), exact_loss, 1e-6)
        assert_close("share", share.get().astype("f8"), exact_share, 1e-6)
        bound = {"float32": 1e-6, "bfloat16": 2**-8}[dtype]
        assert_close("gradient", x.get()[:, :V].astype("f8"), gradient, bound)


@both
def test_loss_and_gradient(dtype, cupy):
    check(cupy, dtype)


@both
@pytest.mark.parametrize("N, C, V", [(1, 1, 1), (3, 8, 65), (40, 24, 300), (17, 5, 33)])
def test_with_the_output_layer_it_equals_the_op(N, C, V, dtype, cupy):
    rng = np.random.default_rng([N, C, V])
    targets = rng.integers(0, V, N)
    targets[2::5] = -100
    inputs = [rng.standard_normal((N, C)), rng.standard_normal((V, C)), targets]
    check_kernel("linear_cross_entropy", Case(inputs, None), dtype, bound={"float32": 4e-6, "bfloat16": 2**-6}[dtype])


@both
def test_another_number_may_stand_for_what_is_ignored(dtype, cupy):
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((6, 4)), rng.standard_normal((9, 4)), np.array([1, 3, 3, 8, 0, 3])]
    bound = {"float32": 4e-6, "bfloat16": 2**-6}[dtype]
    check_kernel("linear_cross_entropy", Case(inputs, None, {"ignore_index": 3}), dtype, bound=bound)


@both
def test_where_nothing_counts_the_loss_is_nan_and_nothing_moves(dtype, cupy):
    x, weight = (Tensor(cupy.ones((4, 8), "float32"), requires_grad=True).to(dtype) for _ in range(2))
    x.requires_grad = weight.requires_grad = True
    loss = ops.linear_cross_entropy(x, weight, Tensor(cupy.full(4, -100)))
    loss.backward()
    assert np.isnan(loss.data.get()) and loss.dtype == "float32"
    assert (x.grad.get() == 0).all() and (weight.grad.get() == 0).all()


def test_scores_at_the_ends_of_float32(cupy):
    """As the plain op: far scores lose nothing, −∞ is impossible, what has no answer is NaN."""
    x = np.full((6, 64), np.nan, np.float32)
    x[:, :9] = np.random.default_rng(0).standard_normal((6, 9))
    x[0, :9] += 3e38 / 4  # all of them huge: softmax is that of their differences, which are lost
    x[1, :9] -= 1e30
    x[2, 3:7] = -np.inf
    x[3, :8] = -np.inf
    x[4, 2] = 1e4
    x[5, 1] = -1e38
    targets = np.array([2, 3, 0, 8, 2, 1])
    host = x[:, :9].astype("f8")
    there = cupy.asarray(x)
    loss, _ = cross_entropy_(there, 9, cupy.asarray(targets), -100)
    exact, gradient, _ = expected(host, targets)
    assert_close("loss", loss.get().astype("f8"), exact, 1e-6)
    assert_close("gradient", there.get()[:, :9].astype("f8"), gradient, 1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, None, 9, -1])
def test_what_has_no_loss_is_nan(bad, cupy):
    """A score that is NaN or ∞, scores that are all −∞, a target that is no class; and only in its own row."""
    x = np.zeros((3, 64), np.float32)
    targets = np.array([0, 1, 2])
    if bad is None:
        x[1, :9] = -np.inf
    elif isinstance(bad, int):
        targets[1] = bad
    else:
        x[1, 4] = bad
    there = cupy.asarray(x)
    loss, _ = cross_entropy_(there, 9, cupy.asarray(targets), -100)
    gradient = there.get()[:, :9]
    assert np.isnan(loss.get()) and np.isfinite(gradient[[0, 2]]).all()
    assert isinstance(bad, int) or np.isnan(gradient[1]).any()


def test_without_a_backward_the_scores_stay(cupy):
    x, _ = scores(cupy, "float32", 4, 10)
    before = x.get()
    with no_grad():
        loss, _ = cross_entropy_(x, 10, cupy.asarray(np.arange(4)), -100)
    assert np.array_equal(x.get(), before, equal_nan=True)
    assert loss.get() == cross_entropy_(x, 10, cupy.asarray(np.arange(4)), -100)[0].get()


def test_what_it_launches_can_be_captured(cupy):
    x, weight = (Tensor(cupy.ones(shape, "float32"), requires_grad=True) for shape in ((16, 8), (40, 8)))
    targets = Tensor(cupy.zeros(16, "int64"))

    def step():
        loss = ops.linear_cross_entropy(x, weight, targets)
        loss.backward()
        x.grad = weight.grad = None

    step()
    before = cupy.counts
    with cupy.capture(), cupy.step():
        step()
    made = cupy.counts - before
    assert (made.products, made.uploads, made.downloads) == (3, 0, 0)
    assert made.launches <= 3 + 1 + 1 + 3, "products; loss; dy / count; dL/dL, and two gradients that are copied"


def test_shapes_that_do_not_fit_are_told(cupy):
    with pytest.raises(ValueError, match=r"linear_cross_entropy: targets \(3,\) do not fit x \(4, 8\)"):
        ops.linear_cross_entropy(Tensor(cupy.ones((4, 8), "float32")), Tensor(cupy.ones((9, 8), "float32")),
                                 Tensor(cupy.zeros(3, "int64")))  # fmt: skip
