"""The first number that is not finite is named, with the op that made it, and nothing is left behind."""

import inspect
import re

import numpy as np
import pytest

import tinyllm
from tinyllm import GPT, SGD, AdamW, GPTConfig, Tensor, nn, no_grad, ops
from tinyllm.debug import NonFiniteError
from tinyllm.observe import MODE
from tinyllm.optim import clip_grad_norm
from tinyllm.tracing import recorder

IDS = np.array([[0, 1, 2, 3], [3, 1, 0, 2]])
SIZES = GPTConfig(vocab_size=4, block_size=4, n_layer=2, n_head=2, n_embd=8, tie_weights=False)


def stopped(run):
    """The error that run() is stopped by; all that listened is gone."""
    with pytest.raises(NonFiniteError) as caught, tinyllm.debug.nan():
        run()
    assert MODE.get().observers == ()
    return caught.value


def line_of(function, text):
    """The number of the line of a function in which a text stands."""
    lines, first = inspect.getsourcelines(function)
    [number] = [first + i for i, line in enumerate(lines) if text in line]
    return number


def test_nan_in_a_forward():
    def run():
        x = Tensor(np.array([[1.0, 4.0], [-1.0, 9.0]]), requires_grad=True)
        root = x.sqrt()
        (root * 2.0).log().sum().backward()

    error = stopped(run)
    first, own, caller, received = str(error).splitlines()
    assert first == "first not finite: the value root, from sqrt_forward: 1 NaN of 4 numbers, first [1, 0] = nan"
    assert own.strip().startswith("tinyllm/ops/arithmetic.py:") and "y = " in own
    assert caller.strip() == f"test_debug.py:{line_of(run, 'x.sqrt()')}   root = x.sqrt()"
    assert received.strip() == "received x (2, 2) float64, -1 … 9"
    assert [call.op for call in error.trace.calls] == [ops.sqrt]


def test_infinity_in_a_backward_alone():
    def run():
        x = Tensor(np.array([0.0, 1.0, 4.0]), requires_grad=True)
        (x.sqrt() * 3.0).sum().backward()

    error = stopped(run)
    message = "first not finite: the gradient of x, from sqrt_backward: 1 infinite of 3 numbers, first [0] = inf"
    assert str(error).splitlines()[0] == message
    step = error.trace.steps[-1]
    assert (step.phase, step.call.op, step.wrt) == ("backward", ops.sqrt, 0)
    assert error.trace.meta["focus"] == {"step": len(error.trace.steps) - 1}


def test_infinity_in_a_weight_after_the_update():
    model = GPT(SIZES)
    optimizer = SGD(model.parameters(), lr=1e38)

    def run():
        model.loss(IDS, IDS[::-1]).backward(1e3)
        optimizer.step()

    error = stopped(run)
    assert re.match(r"first not finite: the weight [\w.]+ after its update: ", str(error))
    assert error.trace.steps[-1].phase == "update" and not np.isfinite(error.trace.steps[-1].after).all()


def test_overflow_of_a_moment_is_told_from_one_of_the_weight():
    w = nn.Parameter(np.array([1e20], np.float32))
    w.grad = np.array([1e30], np.float32)
    message = str(stopped(AdamW([w]).step))
    assert message == "first not finite: v of the weight parameter after its update: 1 infinite of 1 numbers, " \
                      "first [0] = inf"  # fmt: skip


@pytest.mark.parametrize("scale, said", [
    (np.float32(3e38), "the gradient of "), (np.inf, "dL/dloss, which backward() was given: inf")])  # fmt: skip
def test_overflow_of_a_scale_of_the_loss(scale, said):
    model = GPT(SIZES)
    model.lm_head.weight.data *= 1e4

    def run():
        loss = model.loss(IDS, IDS[::-1]) * 1.0
        loss.backward(scale)

    assert str(stopped(run)).startswith(f"first not finite: {said}")


def test_overflow_of_the_length_of_the_gradients():
    w = nn.Parameter(np.ones(3, np.float32))
    w.grad = np.full(3, 1e30, np.float32)
    error = stopped(lambda: clip_grad_norm([w], 1.0))
    assert "the length of all gradients together" in str(error) and error.trace.steps[-1].phase == "clip"


def test_a_sum_of_gradients_that_overflows():
    def run():
        x = Tensor(np.full(2, 0.1, np.float32), requires_grad=True)
        big = np.float32(2e38)
        (x * big + x * big).sum().backward()

    message = "the gradient of a, summed up with its share number 2, from multiply_backward: 2 infinite of 2 numbers"
    assert message in str(stopped(run))


class Inner(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x):
        shifted = x - x.max(axis=-1, keepdims=True)
        return shifted.log() * self.weight


class Outer(nn.Module):
    def __init__(self):
        self.first, self.second = nn.Linear(3, 3), Inner()

    def forward(self, x):
        return self.second(self.first(x))


def test_inside_of_a_nested_module():
    error = stopped(lambda: Outer()(np.ones((2, 3), np.float32)))
    assert ", from log_forward in second (Inner): " in str(error)
    assert f"test_debug.py:{line_of(Inner.forward, 'log()')}   return shifted.log() * self.weight" in str(error)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_several_ops_the_first_is_named(place):
    """NaN in a weight of each block from `place` on, and in an op at the end."""

    def run():
        model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
        for layer in list(model)[place:]:
            layer.weight.data[0, 0] = np.nan
        (model(np.ones((2, 4), np.float32)).log()).sum().backward()

    assert str(stopped(run)).startswith(f"first not finite: the weight {place}.weight, which ")


def test_integers_masks_and_steps_that_are_finite_go_through():
    model = GPT(SIZES)
    with tinyllm.debug.nan():
        optimizer = AdamW(model.parameters())
        for _ in range(3):
            loss = model.loss(IDS, IDS[::-1])
            loss.backward()
            clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        model.generate([0], 3)
    assert MODE.get().observers == () and np.isfinite(loss.item())


def test_the_recording_is_of_the_last_step_alone():
    model = GPT(SIZES)
    optimizer = SGD(model.parameters(), lr=0.1)
    lengths = []

    def run(broken=None):
        for i in range(4):
            with no_grad():
                model(IDS)  # a look at it between two steps
            if i == broken:
                model.h[1].mlp.c_fc.weight.data[0, 0] = np.inf
            loss = model.loss(IDS, IDS[::-1])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    for broken in (1, 3):
        lengths.append(len(stopped(lambda: run(broken)).trace.steps))
        model = GPT(SIZES)
        optimizer = SGD(model.parameters(), lr=0.1)
    assert lengths[0] == lengths[1]


def test_another_error_passes_through():
    with pytest.raises(KeyError), tinyllm.debug.nan():
        raise KeyError
    assert MODE.get().observers == ()


def test_a_backward_whose_forward_ran_before():
    x = Tensor(np.array([0.0]), requires_grad=True)
    loss = x.sqrt().sum()
    assert "a gradient from sqrt_backward, whose forward ran before" in str(stopped(loss.backward))


def test_a_diagnosis_keeps_no_array(monkeypatch):
    monkeypatch.setattr(recorder, "copied", None)
    model = GPT(SIZES)
    model.h[0].ln_1.bias.data[0] = np.nan
    said = tinyllm.debug.first_non_finite(lambda: model.loss(IDS, IDS).backward())
    assert said.startswith("first not finite: the weight h.0.ln_1.bias, which layer_norm reads in h.0.ln_1 (LayerNorm)")
