"""The optimizers step for step beside torch's; clipping; the schedule; and what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference.training import learning_rate
from tests.op_checks import assert_close
from tinyllm import SGD, AdamW, Observer, Tensor, observe
from tinyllm.nn import Linear
from tinyllm.optim import clip_grad_norm, warmup_cosine

STEPS = 200
# Each step rounds a parameter by half an ulp, 6e-8 of it: after 200 steps at most 200 · 6e-8 = 1.2e-5 of the largest.
BOUND = {"float64": 1e-12, "float32": 1.2e-5}
SHAPES = [(3, 4), (5,), (2, 2, 2)]
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def weights(dtype="float64", shapes=SHAPES):
    rng = np.random.default_rng(0)
    return [Tensor(np.asarray(rng.standard_normal(shape)).astype(dtype), requires_grad=True) for shape in shapes]


def train_both(make, torch_make, dtype, steps=STEPS, change=None):
    """The same gradients, of a size that changes over the steps, for both; change(t, optimizer) before each step."""
    ours = weights(dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    optimizer, reference = make(ours), torch_make(theirs)
    rng = np.random.default_rng(1)
    for t in range(steps):
        for p, q in zip(ours, theirs):
            p.grad = (rng.standard_normal(p.shape) * 10 ** rng.uniform(-3, 1)).astype(dtype)
            q.grad = torch.tensor(p.grad)
        for each in (optimizer, reference):
            if change:
                change(t, each)
            each.step()
    for p, q in zip(ours, theirs):
        assert p.dtype == dtype
        assert_close("parameter", p.data, q.detach().numpy(), BOUND[dtype])
    return optimizer, reference, ours, theirs


@both_dtypes
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.01, "momentum": 0.9},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.3},
    ],
    ids=str,
)
def test_sgd_is_torchs(options, dtype):
    optimizer, reference, ours, theirs = train_both(
        lambda ps: SGD(ps, **options), lambda ps: torch.optim.SGD(ps, **options), dtype
    )
    if "momentum" in options:
        for p, q in zip(ours, theirs):
            momentum = reference.state[q]["momentum_buffer"].numpy()
            assert_close("velocity", optimizer.state[p]["velocity"], momentum, BOUND[dtype])


def assert_same_moments(optimizer, reference, ours, theirs, dtype):
    for p, q in zip(ours, theirs):
        state, expected = optimizer.state[p], reference.state[q]
        assert state["step"] == expected["step"].item() == STEPS
        assert state["m"].dtype == state["v"].dtype == dtype
        assert_close("m", state["m"], expected["exp_avg"].numpy(), BOUND[dtype])
        assert_close("v", state["v"], expected["exp_avg_sq"].numpy(), BOUND[dtype])


@both_dtypes
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.01, "weight_decay": 0.0},
        {"lr": 0.01, "weight_decay": 0.5},
        {"lr": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.1},
        {"lr": 0.01, "betas": (0.0, 0.5)},
        {"lr": 0.01, "eps": 0.1},
    ],
    ids=str,
)
def test_adamw_is_torchs_and_so_are_its_moments(options, dtype):
    result = train_both(lambda ps: AdamW(ps, **options), lambda ps: torch.optim.AdamW(ps, **options), dtype)
    assert_same_moments(*result, dtype)


@both_dtypes
def test_groups_have_their_own_options(dtype):
    def groups(ps):
        return [
            {"params": ps[:1], "weight_decay": 0.3, "lr": 0.02},
            {"params": ps[1:], "betas": (0.8, 0.9), "eps": 1e-3},
        ]

    options = {"lr": 0.005, "weight_decay": 0.0}
    result = train_both(
        lambda ps: AdamW(groups(ps), **options), lambda ps: torch.optim.AdamW(groups(ps), **options), dtype
    )
    assert_same_moments(*result, dtype)


@pytest.mark.parametrize("ours, theirs", [(SGD, torch.optim.SGD), (AdamW, torch.optim.AdamW)], ids=["SGD", "AdamW"])
def test_the_rate_can_change_between_steps(ours, theirs):
    def warm_up(t, optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (t + 1) / STEPS

    train_both(ours, theirs, "float64", change=warm_up)


@pytest.mark.parametrize(
    "make", [SGD, AdamW, lambda ps: SGD(ps, momentum=0.9, weight_decay=0.1)], ids=["SGD", "AdamW", "SGD momentum"]
)
@pytest.mark.parametrize("number", [float, np.float64], ids=lambda t: t.__name__)
@pytest.mark.parametrize("shapes", [[(3,), (2, 2)], [()]], ids=["arrays", "0-d"])
def test_a_step_in_float32_changes_the_weights_and_keeps_everything_float32(make, number, shapes):
    params = weights("float32", shapes)
    before = [p.data for p in params]
    copies = [a.copy() for a in before]
    optimizer = make(params)
    optimizer.param_groups[0]["lr"] = number(0.01)  # as a schedule that computes with numpy gives it
    for p in params:
        p.grad = np.ones_like(p.data)
    optimizer.step()
    for p, old, copy in zip(params, before, copies):
        assert type(p.data) is np.ndarray and p.dtype == "float32"
        assert (p.data < copy).all()  # downhill
        assert (old == copy).all()  # the old array may be saved for a backward: it is not written to
        assert all(a.dtype == "float32" for a in optimizer.state[p].values() if hasattr(a, "dtype"))


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_a_parameter_without_a_gradient_stays_and_counts_no_step(make):
    p, q = weights(shapes=[(3,), (3,)])
    optimizer = make([p, q], weight_decay=0.5)
    before = q.data
    for _ in range(3):
        p.grad = np.ones(3)
        optimizer.step()
    assert q.data is before
    assert optimizer.state[q].get("step", 0) == 0
    q.grad = np.ones(3)
    optimizer.zero_grad()
    assert p.grad is None and q.grad is None


def test_weight_decay_is_scaled_by_the_rate():
    p = Tensor(np.array([10.0]), requires_grad=True)
    p.grad = np.zeros(1)
    AdamW([p], lr=0.01, weight_decay=0.5).step()
    assert p.data == pytest.approx([10 * (1 - 0.01 * 0.5)], rel=1e-15)


# what may be given


@pytest.mark.parametrize(
    "form",
    [
        lambda ps: ps,
        iter,
        lambda ps: [("a", ps[0]), ("b", ps[1])],
        lambda ps: [{"params": ps}],
        lambda ps: [{"params": ps[0]}, {"params": iter(ps[1:])}],
        lambda ps: [{"params": [("a", ps[0])]}, {"params": [("b", ps[1])]}],
    ],
    ids=["list", "generator", "names", "group", "group of one tensor", "groups of names"],
)
def test_parameters_come_in_every_form_torch_takes(form):
    params = weights(shapes=[(2,), (3,)])
    optimizer = SGD(form(params), lr=1.0)
    for p in params:
        p.grad = p.data.copy()
    optimizer.step()
    assert all((p.data == 0).all() for p in params)


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_a_parameter_listed_twice_is_refused(make):
    p, q = weights(shapes=[(2,), (3,)])
    for twice in ([p, q, p], [("wte", p), ("lm_head", p)], [{"params": [p]}, {"params": [q, p]}]):
        with pytest.raises(ValueError, match="listed twice"):
            make(twice)


def test_unknown_options_are_refused_with_the_known_ones():
    [p] = weights(shapes=[(2,)])
    with pytest.raises(ValueError, match="AdamW has no option momentum; its options are lr, betas, eps, weight_decay"):
        AdamW([{"params": [p], "momentum": 0.9}])
    with pytest.raises(ValueError, match="SGD has no option betas"):
        SGD([{"params": [p], "betas": (0.9, 0.99)}])
    with pytest.raises(TypeError):
        SGD([p], betas=(0.9, 0.99))


@pytest.mark.parametrize(
    "params",
    [lambda p: [], lambda p: p, lambda p: [p * 2.0]],
    ids=["nothing", "a bare tensor, iterated into its rows", "a result of an op"],
)
@pytest.mark.parametrize("ours, theirs", [(SGD, torch.optim.SGD), (AdamW, torch.optim.AdamW)], ids=["SGD", "AdamW"])
def test_what_would_never_learn_is_refused_as_by_torch(params, ours, theirs):
    [p] = weights(shapes=[(2, 2)])
    with pytest.raises((ValueError, TypeError)):
        theirs(params(torch.tensor(p.data, requires_grad=True)))
    with pytest.raises((ValueError, TypeError)):
        ours(params(p))


# observers


class Log(Observer):
    def __init__(self):
        self.updates, self.clips = [], []

    def parameter_updated(self, parameter, before, state, options):
        self.updates.append((parameter, before, parameter.data, state, options))

    def gradients_clipped(self, norm, max_norm, scale):
        self.clips.append((float(norm), max_norm, float(scale)))


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_observers_hear_every_update(make):
    p, silent, q = weights(shapes=[(2,), (2,), (3,)])
    old = [p.data, q.data]
    p.grad, q.grad = np.ones(2), np.ones(3)
    optimizer = make([p, silent, q])
    with observe(Log()) as log:
        optimizer.step()
    optimizer.step()
    assert [update[0] for update in log.updates] == [p, q]
    for (parameter, before, after, state, options), array in zip(log.updates, old):
        assert before is array and state is optimizer.state[parameter]
        assert options == {name: x for name, x in optimizer.param_groups[0].items() if name != "params"}
        assert (after < before).all()


def test_observers_hear_the_clip():
    [p] = weights(shapes=[(2,)])
    p.grad = np.array([3.0, 4.0])
    with observe(Log()) as log:
        clip_grad_norm([p], 1.0)
    assert log.clips == [(5.0, 1.0, pytest.approx(0.2, rel=1e-6))]


# clipping


@both_dtypes
@given(
    sizes=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=3),
    max_norm=st.one_of(st.floats(1e-3, 1e4), st.just(math.inf)),
)
def test_clip_grad_norm_is_torchs(dtype, sizes, max_norm):
    rng = np.random.default_rng(0)
    ours = weights(dtype, SHAPES[: len(sizes)])
    for p, size in zip(ours, sizes):
        p.grad = (rng.standard_normal(p.shape) * size).astype(dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    for p, q in zip(ours, theirs):
        q.grad = torch.tensor(p.grad)
    norm = clip_grad_norm(iter(ours), max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    bound = {"float64": 1e-12, "float32": 1e-6}[dtype]  # of a few numbers
    assert norm.dtype == dtype
    assert_close("norm", np.asarray(norm), expected.numpy(), bound)
    for p, q in zip(ours, theirs):
        assert p.grad.dtype == dtype
        assert_close("gradient", p.grad, q.grad.numpy(), bound)


def test_short_gradients_stay_as_they_are_and_missing_ones_missing():
    p, q = weights(shapes=[(2,), (3,)])
    p.grad = np.array([0.3, 0.4])
    assert clip_grad_norm([p, q], 1.0) == pytest.approx(0.5, rel=1e-15)
    assert p.grad.tolist() == [0.3, 0.4] and q.grad is None


@pytest.mark.parametrize("shape", [(), (1,)], ids=str)
@pytest.mark.parametrize("number", [float, np.float64], ids=lambda t: t.__name__)
def test_a_clipped_gradient_is_an_array_of_its_dtype(shape, number):
    [p] = weights("float32", [shape])
    p.grad = np.full(shape, 5.0, np.float32)
    clip_grad_norm([p], number(1.0))
    assert type(p.grad) is np.ndarray and p.grad.dtype == "float32" and p.grad.shape == shape


def test_clipping_nothing_is_refused():
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        clip_grad_norm(weights(), 1.0)


# the schedule


@given(
    learning_rate_=st.floats(1e-5, 1.0),
    fraction=st.floats(0.0, 1.0),
    warmup_iters=st.integers(0, 20),
    rest=st.integers(0, 60),
)
def test_the_schedule_is_that_of_the_reference_at_every_step(learning_rate_, fraction, warmup_iters, rest):
    options = {
        "learning_rate": learning_rate_,
        "min_lr": learning_rate_ * fraction,
        "warmup_iters": warmup_iters,
        "max_iters": warmup_iters + rest,
    }
    for step in range(warmup_iters + rest + 3):
        assert warmup_cosine(step, **options) == learning_rate(step, **options)


def test_the_schedule_rises_to_the_rate_and_falls_to_the_minimum():
    options = {"learning_rate": 1.0, "min_lr": 0.1, "warmup_iters": 4, "max_iters": 14}
    rates = [warmup_cosine(step, **options) for step in range(17)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], rel=1e-15)
    assert rates[9] == pytest.approx(0.55, rel=1e-12)  # half way down
    assert rates[4:15] == sorted(rates[4:15], reverse=True)
    assert rates[14:] == [0.1] * 3


def test_the_fall_is_that_of_torchs_cosine():
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=30, eta_min=0.02)
    for step in range(30):
        rate = warmup_cosine(step, learning_rate=0.5, min_lr=0.02, warmup_iters=0, max_iters=30)
        assert rate == pytest.approx(schedule.get_last_lr()[0], rel=1e-12)
        reference.step()
        schedule.step()


@pytest.mark.parametrize(
    "options", [{"lr": -1.0}, {"lr": float("nan")}, {"weight_decay": -0.1}, {"betas": (0.9, 1.0)}, {"eps": -1e-8}]
)
def test_impossible_options_are_refused_as_by_torch(options):
    with pytest.raises(ValueError, match=f"AdamW: {next(iter(options))} must be from 0 to below"):
        AdamW([Tensor([1.0], requires_grad=True)], **options)


@pytest.mark.parametrize("params", [[np.ones(2)], Linear(2, 3)], ids=["an array", "a model"])
def test_what_is_no_parameter_is_refused(params):
    with pytest.raises(TypeError, match="moves tensors, not ndarray|write model.parameters()"):
        AdamW(params)


def test_betas_are_two():
    AdamW([Tensor([1.0], requires_grad=True)], betas=[0.9, 0.99])
    with pytest.raises(ValueError, match="betas must be two numbers"):
        AdamW([Tensor([1.0], requires_grad=True)], betas=(0.9,))
