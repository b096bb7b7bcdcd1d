"""The checks of a recording: right where the backward is right, wrong exactly where it is not."""

import importlib.util
from functools import wraps

import numpy as np
import pytest

from tests.op_cases import examples
from tests.tracing.recordings import record, record_every_op
from tinyllm import Tensor, ops
from tinyllm.checking import tinyllm_ops
from tinyllm.tracing import checks, trace
from tinyllm.tracing.checks import check_steps
from tinyllm.tracing.torch_values import gradients

OPS = tinyllm_ops()

HAS_TORCH = importlib.util.find_spec("torch") is not None


def wrong_steps(recording, **options):
    return {i for i, found in check_steps(recording, **options).items() if not all(c.ok for c in found.values())}


@pytest.mark.parametrize("config", [{}, {"dropout": 0.2, "bias": False}, {"n_layer": 1, "tie_weights": False}])
def test_every_backward_step_of_a_gpt_is_checked_and_right(config):
    recording, _ = record(**config)
    found = check_steps(recording)
    assert set(found) == {i for i, step in enumerate(recording.steps) if step.phase == "backward"}
    kinds = {"differences", "torch"} if HAS_TORCH else {"differences"}
    assert all(set(checked) == kinds for checked in found.values())
    assert not wrong_steps(recording)


FAULTS = {
    "linear": lambda grads: (grads[0], -grads[1], grads[2]),
    "layer_norm": lambda grads: (grads[0] * 1.001, *grads[1:]),
    "add": lambda grads: (grads[0], 2 * grads[1]),
    "gelu_tanh": lambda grads: 0 * grads,
    "embedding": lambda grads: (None, grads[1][::-1]),
    "causal_attention": lambda grads: (grads[0] + 1e-5, None),
    "cross_entropy": lambda grads: (grads[0].T.copy().reshape(grads[0].shape), None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_one_backward_turns_steps_of_that_op_red_and_no_others(name, monkeypatch):
    right = OPS[name].backward

    @wraps(right)
    def wrong(*arguments, **options):
        return FAULTS[name](right(*arguments, **options))

    monkeypatch.setattr(OPS[name], "backward", wrong)
    recording, _ = record(n_layer=1)
    red = {recording.steps[i].call.op.__name__ for i in wrong_steps(recording, with_torch=False)}
    assert red == {name}
    if HAS_TORCH:
        assert {recording.steps[i].call.op.__name__ for i in wrong_steps(recording)} == {name}


def test_a_check_says_where_it_is_worst_and_shows_both_numbers():
    ours = np.array([[1.0, 2.0], [3.0, 4.0]])
    check = checks.compare(ours, dict(np.ndenumerate([[1.0, 2.0], [3.5, 4.0]])), 1e-6)
    assert not check.ok and check.worst == (1, 0) and (check.ours, check.theirs) == (3.0, 3.5)
    assert check.error == 0.5 / 4 and (check.entries, check.of) == (4, 4)


def test_up_to_2000_entries_are_all_checked_and_of_more_256_drawn():
    assert len(checks.chosen_entries((2000,))) == 2000
    assert len(set(checks.chosen_entries((2001,)))) == 256
    assert checks.chosen_entries((3, 1000)) == checks.chosen_entries((3, 1000))
    assert checks.chosen_entries(()) == [()]


def test_nothing_is_said_of_what_is_not_finite():
    x = Tensor(np.array([1.0, np.inf], np.float32), requires_grad=True)
    with trace() as recording:
        (x * 2.0).sum().backward()
    multiplied = [i for i, s in enumerate(recording.steps) if s.phase == "backward" and s.call.op is ops.multiply]
    assert multiplied and not set(multiplied) & set(check_steps(recording))


def test_where_there_is_a_kink_there_is_no_slope_to_compare_with():
    x = Tensor(np.array([-1.0, 0.0, 2.0], np.float32), requires_grad=True)
    with trace() as recording:
        ops.abs(x).sum().backward()
    [at] = [i for i, step in enumerate(recording.steps) if step.phase == "backward" and step.call.op is ops.abs]
    check = check_steps(recording)[at]["differences"]
    assert check.ok and (check.entries, check.of) == (2, 3)


@pytest.mark.parametrize("seed", range(3))
def test_no_op_is_said_to_be_wrong(seed):
    assert not wrong_steps(record_every_op(seed))


def test_the_recording_is_not_changed_by_checking_it():
    recording, _ = record(n_layer=1)
    before = recording.to_json()
    check_steps(recording)
    assert recording.to_json() == before


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
@pytest.mark.parametrize("name", sorted(OPS))
def test_torch_is_asked_for_the_same_function(name):
    for case in examples(name, 3):
        y, saved = OPS[name].forward(*case.inputs, **case.options)
        dy = np.random.default_rng(0).standard_normal(np.shape(y))
        ours = OPS[name].backward(dy, *saved)
        theirs = gradients(name, case.inputs, case.options, dy)
        for mine, other in zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
            if mine is not None and other is not None:
                np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9)
