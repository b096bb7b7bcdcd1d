"""gradcheck tells a right backward from a wrong one."""

import math

import numpy as np
import pytest

from tinyllm import Tensor, gradcheck, ops
from tinyllm.autograd import OPS, op
from tinyllm.ops.layer_norm import layer_norm_forward
from tinyllm.ops.softmax import softmax_backward, softmax_forward

RNG = np.random.default_rng(0)
X, W, C = RNG.standard_normal((4, 5)), RNG.standard_normal((5, 3)), RNG.standard_normal(5)
IDS = np.array([[0, 3], [3, 1]])

RIGHT = {
    "op": (ops.softmax, X),
    "option": (lambda x: ops.softmax(x, axis=0), X),
    "missing array": (ops.layer_norm, X, C, None),
    "integers": (ops.embedding, IDS, X),
    "several users": (lambda x, w: (x @ w).tanh().sum(axis=0) * w.sum(axis=0), X, W),
    "same input twice": (lambda x: x * x, X),
    "0-d": (lambda x: x * x * x, np.array(1.5)),
    "no influence": (lambda x, w: x + 0.0 * w.sum(), X, W),
    "unused input": (lambda x, w: x.exp(), X, W),
    "float32 inputs": (ops.linear, X.astype(np.float32), W.astype(np.float32)),
}


@pytest.mark.parametrize("f, inputs", [(f, inputs) for f, *inputs in RIGHT.values()], ids=RIGHT)
@pytest.mark.parametrize("seed", [0, 1])
def test_true_where_forward_and_backward_agree(f, inputs, seed):
    result = gradcheck(f, *inputs, seed=seed)
    assert result
    assert result.error <= 1e-8 and result.numeric == pytest.approx(result.analytic, rel=1e-6, abs=1e-6)


def wrong_entry(dy, p, axis):
    dx = softmax_backward(dy, p, axis)
    dx[2, 3] *= 1.01
    return dx


WRONG = {
    "dropped term": (softmax_forward, lambda dy, p, axis: p * dy, [X]),
    "sign": (softmax_forward, lambda dy, p, axis: -softmax_backward(dy, p, axis), [X]),
    "a factor near 1": (softmax_forward, lambda dy, p, axis: 1.00001 * softmax_backward(dy, p, axis), [X]),
    "another axis": (softmax_forward, lambda dy, p, axis: softmax_backward(dy, p, 0), [X]),
    "one entry": (softmax_forward, wrong_entry, [X]),
    "zero": (softmax_forward, lambda dy, p, axis: 0 * dy, [X]),
    "no means": (
        layer_norm_forward,
        lambda dy, x_hat, rstd, weight: (dy * weight * rstd, (dy * x_hat).sum(0), dy.sum(0)),
        [X, C, C],
    ),
}


@pytest.mark.parametrize("forward, backward, inputs", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_false_for_a_wrong_backward(forward, backward, inputs, seed):
    def broken_forward(*arrays):
        return forward(*arrays)

    try:
        result = gradcheck(op(broken_forward, backward), *inputs, seed=seed)
    finally:
        OPS.pop("broken", None)
    assert not result
    assert result.error > 1e-6


def test_false_where_a_path_is_cut():
    assert not gradcheck(lambda x: x * x.detach(), X)


def test_the_result_shows_both_sides():
    text = repr(gradcheck(lambda x: x.sum() * 2.0, X))
    assert "numeric=" in text and "analytic=" in text and "error=" in text


def test_the_two_sides_are_the_derivative_along_the_random_direction():
    result = gradcheck(lambda x: x * 3.0, np.array(1.0), seed=5)
    u, dy = np.random.default_rng(5).standard_normal(2)
    assert math.isclose(result.analytic, 3 * u * dy, rel_tol=1e-12)
    assert math.isclose(result.numeric, 3 * u * dy, rel_tol=1e-8)


def test_inputs_are_left_as_they_were():
    x = Tensor(X.copy(), requires_grad=True)
    assert gradcheck(ops.softmax, x)
    assert x.grad is None and (x.data == X).all()


def test_integers_alone_are_refused():
    with pytest.raises(ValueError, match="at least one floating-point input"):
        gradcheck(lambda ids: ids * 2, IDS)


def test_a_function_that_drops_the_graph_is_not_called_right():
    with pytest.raises(RuntimeError, match="requires a gradient"):
        gradcheck(lambda x: Tensor(x.data.mean(keepdims=True)), X)
