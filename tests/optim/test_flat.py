"""The flat AdamW is the plain one: same weights, same moments, whatever is done to gradients and parameters between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.op_checks import assert_close
from tinyllm import AdamW, Observer, Tensor, observe
from tinyllm.optim import FlatAdamW, clip_grad_norm, flat

BOUND = {"float64": 1e-13, "float32": 1e-5}  # of the largest entry, after at most 12 steps


def tensors(shapes, dtype="float64"):
    rng = np.random.default_rng(0)
    return [Tensor(np.asarray(rng.standard_normal(shape)).astype(dtype), requires_grad=True) for shape in shapes]


def groups(params, weight_decay=0.3):
    return [{"params": params[::2], "weight_decay": weight_decay}, {"params": params[1::2], "weight_decay": 0.0}]


def assert_same(ours, optimizer, theirs, reference, dtype="float64"):
    for i, (p, q) in enumerate(zip(ours, theirs)):
        assert p.dtype == dtype and type(p.data) is np.ndarray
        # one that steps of 0.1 bring close to 0 keeps the rounding of where it was
        assert_close(f"parameter {i}", p.data, q.data, BOUND[dtype], floor=0.1)
        for name in ("m", "v"):
            assert_close(f"{name} {i}", optimizer.state[p][name], reference.state[q][name], BOUND[dtype])
        assert optimizer.state[p]["step"] == reference.state[q]["step"]


SHAPES = st.lists(st.sampled_from([(), (1,), (5,), (3, 4), (2, 3, 2), (7, 11)]), min_size=1, max_size=5)
OPTIONS = st.fixed_dictionaries({
    "lr": st.sampled_from([1e-3, 0.1]),
    "betas": st.sampled_from([(0.9, 0.99), (0.0, 0.5), (0.8, 0.0)]),
    "eps": st.sampled_from([1e-8, 0.1]),
})
# what may happen to one parameter before a step
EVENTS = ("gradient", "gradient", "gradient", "none", "two shares", "set from outside", "loaded", "scaled in place")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", [1, 4, flat.BLOCK])
@given(shapes=SHAPES, options=OPTIONS, max_norm=st.sampled_from([1e-2, 1.0, np.inf]), data=st.data())
def test_it_is_the_plain_one(dtype, block, shapes, options, max_norm, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "BLOCK", block)
        ours, theirs = tensors(shapes, dtype), tensors(shapes, dtype)
        optimizer, reference = FlatAdamW(groups(ours), **options), AdamW(groups(theirs), **options)
        rng = np.random.default_rng(1)
        for _ in range(data.draw(st.integers(1, 5))):
            grads = 0
            for p, q in zip(ours, theirs):
                event = data.draw(st.sampled_from(EVENTS))
                g, h = (np.asarray(rng.standard_normal(p.shape) + 0.5).astype(dtype) for _ in range(2))
                if event == "none":
                    continue
                grads += 1
                if event == "set from outside":
                    p.grad = g.copy()
                else:
                    optimizer.take(p, g)
                q.grad = g.copy()
                if event == "two shares":
                    optimizer.take(p, h)
                    q.grad = g + h
                elif event == "loaded":
                    p.data, q.data = h.copy(), h.copy()
                elif event == "scaled in place":
                    p.grad *= 2
                    q.grad *= 2
            if grads:
                norm = clip_grad_norm(theirs, max_norm)
                rel = {"float64": 1e-12, "float32": 1e-6}[dtype]
                assert float(optimizer.clip(max_norm)) == pytest.approx(float(norm), rel=rel)
            optimizer.step(), reference.step()
            optimizer.zero_grad(), reference.zero_grad()
        assert_same(ours, optimizer, theirs, reference, dtype)


def test_backward_adds_up_every_share_and_leaves_other_leaves_their_own():
    [p, q], other = tensors([(3, 3), (3,)]), tensors([(3,)])[0]
    optimizer = FlatAdamW([p, q])
    for _ in range(2):
        optimizer.backward(((p @ p) @ q * other + q).sum())
    grads = [p.grad.copy(), q.grad.copy(), other.grad.copy()]
    p.grad = q.grad = other.grad = None
    for _ in range(2):
        ((p @ p) @ q * other + q).sum().backward()
    for ours, leaf in zip(grads, (p, q, other)):
        assert_close("gradient", ours, leaf.grad, 1e-14)


def test_a_loss_that_is_a_parameter():
    [p] = tensors([()])
    FlatAdamW([p]).backward(p, 3.0)
    assert p.grad == 3


KEEP = {
    "the array": lambda p: p.data,
    "a view": lambda p: p.data[1:],
    "its transpose": lambda p: p.data.T,
    "a tensor": lambda p: p.detach(),
    "a memoryview": lambda p: memoryview(p.data),
}


@pytest.mark.parametrize("keep", KEEP.values(), ids=KEEP)
def test_what_somebody_kept_of_a_parameter_is_never_written_to(keep):
    params = tensors([(3, 3), (2, 2)])
    optimizer = FlatAdamW(params)
    kept = keep(params[0])
    before = np.array(kept).copy()
    for steps in (1, 2):
        for p in params:
            optimizer.take(p, np.ones(p.shape))
        optimizer.step()
        assert (np.array(kept) == before).all() and (params[0].data != np.ones((3, 3))).all()
        assert optimizer.copies == 1, "once: after that it is theirs alone"
    del kept


@pytest.mark.parametrize("keep", [lambda p: p.grad, lambda p: p.grad[1:], lambda p: p.grad.T], ids=["it", "view", "T"])
def test_what_somebody_kept_of_a_gradient_is_never_written_to(keep):
    params = tensors([(3, 3), (2, 2)])
    optimizer = FlatAdamW(params)
    for p in params:
        optimizer.take(p, np.ones(p.shape))
    kept = keep(params[0])
    optimizer.zero_grad()
    for p in params:
        optimizer.take(p, np.full(p.shape, 2.0))
    assert (kept == 1).all() and all((p.grad == 2).all() for p in params)
    assert optimizer.clip(np.inf) == pytest.approx(2 * np.sqrt(13))


def test_a_graph_that_waits_for_its_backward_sees_the_weights_it_was_made_with():
    p, x = tensors([(3, 3)])[0], Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer, before = FlatAdamW([p], lr=0.1), p.data.copy()
    y = (x @ p).sum()
    optimizer.take(p, np.ones((3, 3)))
    optimizer.step()
    y.backward()
    assert np.allclose(x.grad, before.sum(axis=1))


def test_a_step_allocates_no_vector_and_copies_nothing():
    params = tensors([(50, 50), (30,)])
    optimizer, arrays = FlatAdamW(params), None
    for _ in range(4):
        for p in params:
            optimizer.take(p, np.ones(p.shape))
        optimizer.clip(1.0), optimizer.step(), optimizer.zero_grad()
        now = [id(vector.array) for vector in (optimizer.p, optimizer.m, optimizer.v)]
        assert arrays in (None, now) and optimizer.copies == 0
        arrays = now


def test_observers_hear_what_the_plain_one_tells():
    class Log(Observer):
        heard = ()

        def parameter_updated(self, parameter, before, state, options):
            self.heard += ((parameter, before.copy(), parameter.data.copy(), state["m"].copy()),)

        def gradients_clipped(self, norm, max_norm, scale):
            self.heard += ((float(norm), float(scale)),)

    logs, shapes = [], [(3, 2), (2,)]
    for make in (AdamW, FlatAdamW):
        params = tensors(shapes)
        optimizer = make(params)
        for _ in range(2):
            with observe(Log()) as log:
                optimizer.backward((params[0] @ params[1]).sum())
                optimizer.clip(0.1), optimizer.step(), optimizer.zero_grad()
        optimizer.backward((params[0] @ params[1]).sum())  # and goes on without one
        optimizer.step()
        logs.append((log, params))
    (plain, expected), (fast, params) = logs
    assert plain.heard[0] == pytest.approx(fast.heard[0])
    for (_, *ours), (_, *theirs) in zip(fast.heard[1:], plain.heard[1:], strict=True):
        for a, b in zip(ours, theirs):
            assert_close("told", a, b, 1e-14)
    for p, q in zip(params, expected):
        assert_close("parameter", p.data, q.data, 1e-13)


def test_what_it_cannot_move_is_refused():
    p, q = tensors([(2,)])[0], tensors([(2,)], "float32")[0]
    with pytest.raises(TypeError, match="of one dtype"):
        FlatAdamW([p, q])
    optimizer = FlatAdamW([p])
    p.data = np.ones(2, np.float32)
    with pytest.raises(TypeError, match=r"\(2,\) float64 became \(2,\) float32 on numpy; make a new optimizer"):
        optimizer.step()
