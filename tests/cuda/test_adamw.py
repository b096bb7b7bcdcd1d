"""adamw.cu and the optimizer around it: the plain AdamW's numbers, moved by two launches, with float32 masters."""

import math

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_cupy import stand_in
from tinyllm import AdamW, Tensor, ops
from tinyllm.backend import to
from tinyllm.debug import nan
from tinyllm.kernels.cuda.adamw import ALIGN
from tinyllm.observe import Observer, observe
from tinyllm.optim.device import DeviceAdamW
from tinyllm.places import Place

SHAPES = [(3, 5), (1,), (130,), (2, 300), (7,)]


def arrays(shapes=SHAPES, seed=0):
    r = np.random.default_rng(seed)
    return [r.standard_normal(shape).astype("f4") for shape in shapes]


def tensors(values, place, dtype="float32"):
    return [Tensor(to(x.astype(dtype), place), True) for x in values]


def groups(params, lr=1e-2):
    return [{"params": params[:2], "weight_decay": 0.3}, {"params": params[2:], "lr": lr / 3, "weight_decay": 0.0}]


def give(params, grads, place):
    for p, grad in zip(params, grads):
        p.grad = None if grad is None else to(grad, place)


def close(ours, theirs, bound=3e-7):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound * max(abs(b).max(), 1e-3))


@settings(max_examples=15)
@given(shapes=st.lists(st.lists(st.integers(1, 40), max_size=2).map(tuple), min_size=3, max_size=6),
       max_norm=st.sampled_from([math.inf, 1.0, 1e-3]), data=st.data())  # fmt: skip
def test_it_is_the_plain_one_and_torchs(shapes, max_norm, data):
    """Five steps; of some parameters no gradient comes, of others now and then; the rate changes under way."""
    with stand_in():
        start = arrays(shapes)
        here, there = tensors(start, "numpy"), tensors(start, "cupy")
        theirs = [torch.tensor(x, requires_grad=True) for x in start]
        options = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8}
        plain, device = AdamW(groups(here), **options), DeviceAdamW(groups(there), **options)
        reference = torch.optim.AdamW(groups(theirs), **options)
        for step in range(5):
            grads = [g if data.draw(st.booleans()) else None for g in arrays(shapes, step + 1)]
            grads[step % len(grads)] = arrays(shapes, step + 9)[step % len(grads)]
            give(here, grads, "numpy"), give(there, grads, "cupy")
            for p, grad in zip(theirs, grads):
                p.grad = None if grad is None else torch.tensor(grad)
            norms = plain.clip(max_norm), device.clip(max_norm)
            torch.nn.utils.clip_grad_norm_(theirs, max_norm)
            np.testing.assert_allclose(float(norms[1]), norms[0], rtol=1e-6)
            for optimizer in (plain, device, reference):
                for group in optimizer.param_groups:
                    group["lr"] *= 0.7
                optimizer.step(), optimizer.zero_grad()
        close([p.data.get() for p in there], [p.data for p in here])
        close([p.data.get() for p in there], [p.detach().numpy() for p in theirs], 1e-6)
        for name in ("m", "v"):
            close([device.state[p][name].get() for p in there], [plain.state[p][name] for p in here])
        assert [device.state[p]["step"] for p in there] == [plain.state[p]["step"] for p in here]


def test_a_step_is_two_launches_and_nothing_comes_back(cupy):
    params = tensors(arrays(), "cupy")
    optimizer = DeviceAdamW(groups(params))
    for p in params:
        optimizer.take(p, to(np.ones(p.shape, "f4"), "cupy"))
    for _ in range(2):  # the first time kernels are compiled, and their counters are made
        before = cupy.counts
        with cupy.step():
            optimizer.write(1.0)
            optimizer.measure()
            optimizer.move()
        made = cupy.counts - before
    assert (made.launches, made.uploads, made.downloads) == (2, 1, 0)


def test_parameters_and_gradients_are_views_that_begin_at_256_bytes(cupy):
    params = tensors(arrays(), "cupy", ml_dtypes.bfloat16)
    optimizer = DeviceAdamW(params)
    for p in params:
        place = optimizer.place(p)
        assert place.array.base is optimizer.g and place.array.dtype == "float32" and not place.started
        optimizer.take(p, place)
        assert p.grad is place.array and optimizer.place(p) == Place(p.grad, True)
        assert (p.data.data.ptr - params[0].data.data.ptr) % (2 * ALIGN) == 0 and p.data.base is optimizer.shadow
    stranger = Tensor(to(np.ones(3, "f4"), "cupy"), True)
    assert optimizer.place(stranger) is None
    optimizer.take(stranger, stranger.data)
    assert stranger.grad is not stranger.data and stranger.grad.get().tolist() == [1, 1, 1]


def test_bfloat16_parameters_are_float32_ones_rounded(cupy):
    """Steps too small for bfloat16 to see add up in the masters, as in a float32 training with these gradients."""
    start = arrays()
    half = [x.astype(ml_dtypes.bfloat16) for x in start]
    params, exact = tensors(start, "cupy", ml_dtypes.bfloat16), tensors([x.astype("f4") for x in half], "cupy")
    ours, theirs = (DeviceAdamW(groups(p, 1e-4), lr=1e-4) for p in (params, exact))
    for step in range(6):
        for optimizer, listed in ((ours, params), (theirs, exact)):
            give(listed, arrays(seed=step), "cupy")
            optimizer.clip(1.0)
            optimizer.step()
    for p, q in zip(params, exact):
        assert np.array_equal(ours.master(p).get(), q.data.get()) and p.dtype == ml_dtypes.bfloat16
        assert np.array_equal(p.data.get(), q.data.get().astype(ml_dtypes.bfloat16))
        assert ours.state[p]["m"].dtype == ours.state[p]["v"].dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_what_was_loaded_is_taken(dtype, cupy):
    params, values = tensors(arrays(), "cupy", dtype), arrays(seed=5)
    optimizer = DeviceAdamW(params)
    p, q = params[:2]
    optimizer.set_master(p, to(values[0], "cupy"))
    q.data = to(values[1].astype(dtype), "cupy")
    optimizer.state[p].update(step=7, m=to(values[0], "cupy"), v=to(values[0] ** 2, "cupy"))
    assert np.array_equal(p.data.get(), values[0].astype(dtype)), "the model sees it at once"
    optimizer.adopt()
    assert np.array_equal(optimizer.master(p).get(), values[0])
    assert np.array_equal(optimizer.master(q).get(), values[1].astype(dtype).astype("f4"))
    assert optimizer.state[p]["v"].base is optimizer.v and np.array_equal(optimizer.state[p]["m"].get(), values[0])
    q.data = to(np.ones(1, "f8"), "cupy")
    with pytest.raises(TypeError, match=r"a parameter of \(1,\) .* became \(1,\) float64 on cupy; make a new"):
        optimizer.step()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_a_gradient_that_is_not_finite_makes_no_finite_step(bad, cupy):
    params = tensors(arrays(), "cupy")
    optimizer, grads = DeviceAdamW(params), arrays(seed=1)
    grads[1][0] = bad
    give(params, grads, "cupy")
    with np.errstate(all="ignore"):
        norm = float(optimizer.clip(1.0))
        optimizer.step()
    assert not math.isfinite(norm)
    if bad != 3e38:  # that one is finite: its square is not, and it is scaled to 0
        assert not np.isfinite(params[1].data.get()).all()


def test_the_norm_is_the_same_to_the_bit_and_leaves_its_counter_ready(cupy):
    [p] = tensors(arrays([(90_001,)]), "cupy")
    optimizer = DeviceAdamW([p])
    give([p], arrays([(90_001,)], 1), "cupy")
    assert len({float(optimizer.clip(1.0)) for _ in range(3)}) == 1 and len(optimizer.partial) > 60


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_observers_hear_of_updates_with_arrays_that_stay(dtype, cupy):
    heard = []

    class Listener(Observer):
        def gradients_clipped(self, norm, max_norm, scale):
            heard.append(float(scale))

        def parameter_updated(self, parameter, before, state, options):
            heard.append((before, parameter.data, state["m"], options["lr"]))

    params = tensors(arrays(), "cupy", dtype)
    optimizer = DeviceAdamW(params, lr=0.5)
    start = params[0].data.get()
    give(params[:1], arrays(seed=1), "cupy")
    with observe(Listener()):
        optimizer.clip(0.1)
        optimizer.step()
    (scale, (before, after, m, lr)), now = heard, params[0].data.get()
    optimizer.step()
    assert scale < 0.1 and lr == 0.5 and np.array_equal(before.get(), start) and np.array_equal(after.get(), now)
    assert not np.array_equal(m.get(), optimizer.state[params[0]]["m"].get())
    assert not np.array_equal(params[0].data.get(), now)


def test_every_number_can_be_watched(cupy):
    params = tensors(arrays(), "cupy")
    optimizer = DeviceAdamW(params)
    with nan():
        optimizer.backward(ops.sum(params[0] * params[0]))
        optimizer.step()
    assert params[0].grad is not None


def test_what_it_cannot_move_is_refused(cupy):
    for params in (tensors(arrays(), "numpy"), tensors(arrays(), "cupy", "float64"),
                   tensors(arrays(), "cupy")[:1] + tensors(arrays(), "cupy", ml_dtypes.bfloat16)[1:]):  # fmt: skip
        with pytest.raises(TypeError, match="on a GPU, all of float32 or all of bfloat16; use AdamW"):
            DeviceAdamW(params)
