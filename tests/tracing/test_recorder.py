"""The recording tells what the engine did: all of it, in order, with the engine's own numbers."""

import numpy as np
import pytest

from tinyllm import GPT, AdamW, GPTConfig, Tensor, no_grad, ops
from tinyllm.observe import Observer, observe
from tinyllm.optim import clip_grad_norm
from tinyllm.random import dropout_step
from tinyllm.tracing import trace

IDS = np.array([[0, 3, 1, 3, 2, 0, 4, 3, 1]])


def model_of(**options):
    sizes = {"vocab_size": 5, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 8}
    return GPT(GPTConfig(**sizes | options), seed=1)


def step_of(model, optimizer):
    with dropout_step(0, 0):
        loss = model.loss(IDS[:, :-1], IDS[:, 1:])
    loss.backward()
    norm = clip_grad_norm(model.parameters(), 0.5)
    optimizer.step()
    return loss, norm


class Spy(Observer):
    """Counts for itself, and copies nothing."""

    def __init__(self):
        self.ops, self.shares, self.after = 0, 0, {}

    def op_ran(self, op, inputs, options, output, saved):
        self.ops += 1

    def gradient_added(self, target, before, share, after):
        self.shares += 1
        self.after[target] = after


@pytest.fixture(scope="module", params=[{}, {"dropout": 0.2, "bias": False}, {"tie_weights": False}], ids=str)
def recorded(request):
    model = model_of(**request.param)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    spy = Spy()
    with trace() as t, observe(spy):
        loss, norm = step_of(model, AdamW(model.parameters()))
    return t, spy, model, before, loss, norm


def of_phase(t, phase):
    return [step for step in t.steps if step.phase == phase]


def test_every_op_and_every_share_is_there_once(recorded):
    t, spy, *_ = recorded
    assert len(of_phase(t, "forward")) == len(t.calls) == spy.ops > 20
    assert len(of_phase(t, "backward")) == spy.shares > 30


def test_the_phases_follow_each_other(recorded):
    t = recorded[0]
    phases = [step.phase for step in t.steps]
    assert phases == sorted(phases, key=["forward", "seed", "backward", "clip", "update"].index)
    assert phases.count("seed") == phases.count("clip") == 1


def test_before_and_share_make_after_and_the_last_after_is_the_gradient(recorded):
    t, _, model, _, _, norm = recorded
    gradients = {}
    for step in of_phase(t, "backward"):
        before = gradients.get(step.value)
        assert (step.before is None) == (before is None) == (step.nth == 1)
        if before is not None:
            assert np.array_equal(step.before, before)
            assert np.array_equal(step.after, before + step.share)
        else:
            assert np.array_equal(step.after, step.share)
        gradients[step.value] = step.after
    names = {value.name: gradient for value, gradient in gradients.items() if value.role == "parameter"}
    scale = np.float32(of_phase(t, "clip")[0].numbers["scale"])
    for name, parameter in model.named_parameters():
        assert np.array_equal(names[name] * scale, parameter.grad), name


def test_a_tied_embedding_gets_two_shares_and_a_residual_stream_two(recorded):
    t, _, model, *_ = recorded
    by_name = {value.name: t.shares(value) for value in t.values if value.role == "parameter"}
    assert by_name["wte.weight"] == (2 if model.config.tie_weights else 1)
    assert {t.shares(call.inputs[0]) for call in t.calls if call.scope == "h.0" and call.op is ops.add} == {2}


def test_updates_show_what_the_optimizer_did(recorded):
    t, _, model, before, *_ = recorded
    updates = {step.value.name: step for step in of_phase(t, "update")}
    for name, parameter in model.named_parameters():
        assert np.array_equal(updates[name].before, before[name])
        assert np.array_equal(updates[name].after, parameter.data)
        assert updates[name].numbers["step"] == 1 and updates[name].numbers["m"].shape == parameter.shape


def test_nothing_changes_because_somebody_looks():
    plain, watched = model_of(dropout=0.2), model_of(dropout=0.2)
    step_of(plain, AdamW(plain.parameters()))
    with trace():
        step_of(watched, AdamW(watched.parameters()))
    for p, q in zip(plain.parameters(), watched.parameters()):
        assert np.array_equal(p.data, q.data)


def test_values_have_the_names_of_the_source_and_the_modules():
    model = model_of(n_layer=1)
    with trace() as t, no_grad():
        model(IDS[:, :-1])
    made = [(call.scope, call.output.name, call.op.__name__) for call in t.calls]
    assert made[:3] == [("wte", "wte", "embedding"), ("", "getitem", "getitem"), ("", "x", "add")]
    assert ("h.0.attn.c_attn", "qkv", "linear") in made and ("h.0.ln_1", "ln_1", "layer_norm") in made
    assert [v.name for v in t.calls[0].inputs] == ["ids", "wte.weight"]
    assert dict(t.modules)["h.0.mlp"] == "MLP"


def test_what_was_saved_has_the_backwards_names_and_is_the_value_where_it_is_one():
    x, w = (Tensor(a, requires_grad=True) for a in np.random.default_rng(0).standard_normal((2, 3, 3)))
    with trace() as t:
        ops.softmax(ops.linear(x, w))
    linear, softmax = t.calls
    assert linear.saved == dict(zip(("x", "weight"), linear.inputs))
    assert softmax.saved["p"] is softmax.output


def test_arrays_are_copies_that_later_steps_do_not_touch():
    x = Tensor(np.ones(3), requires_grad=True)
    with trace() as t:
        y = x * 2.0
    y.data[:] = 7
    assert t.calls[0].output.array.tolist() == [2, 2, 2]


def test_a_backward_of_ops_from_before_the_recording_is_left_out():
    x = Tensor(np.ones(3), requires_grad=True)
    y = x * 2.0
    with trace() as t:
        (y * 3.0).sum().backward()
    assert [step.phase for step in t.steps] == ["forward", "forward", "seed", "backward", "backward"]
    assert x.grad.tolist() == [6, 6, 6]


def test_the_same_tensor_twice_gets_two_shares():
    x = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    with trace() as t:
        (x * x).sum().backward()
    shares = [step for step in of_phase(t, "backward") if step.value.name == "x" or step.value is t.calls[0].inputs[0]]
    assert [(step.wrt, step.nth) for step in shares] == [(0, 1), (1, 2)] and x.grad.tolist() == [4, 6]


def test_what_was_recorded_shows_itself_in_a_line():
    x = Tensor(np.array([[1.0, -2.0]]), requires_grad=True)
    with trace() as t:
        y = x * 2.0
        y.sum().backward()
    assert repr(t) == "<trace of 2 ops in 5 steps: look at it with .show() or .to_html(path)>"
    assert repr(t.calls[0]) == "<y = multiply(a, b)>"
    assert repr(t.values[0]) == "<input a (1, 2) float64, -2 … 1, mean -0.5>"
    assert repr(t.steps[-1]).startswith("<backward: da = multiply_backward(dy")
    model = model_of(n_layer=1)
    with trace() as t, no_grad():
        model(IDS[:, :-1])
    assert "<qkv = linear(ln_1, h.0.attn.c_attn.weight, h.0.attn.c_attn.bias) in h.0.attn.c_attn>" in map(repr, t.calls)
