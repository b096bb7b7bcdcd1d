"""Every kernel is its op: values and gradients over the harness's cases, at odd sizes, extreme values, with threads."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyllm.kernels  # noqa: F401  (attaches them)
from tests.op_cases import MAKERS, Case, HypothesisChooser, examples
from tests.op_checks import FLOOR, assert_close, assert_same_run, check_contract, check_needs, run
from tests.ops import test_extreme_values as extreme
from tinyllm import Tensor, ops
from tinyllm.autograd import OPS, gradients
from tinyllm.kernels.cpu import attention, linear_cross_entropy, share
from tinyllm.observe import plain_ops
from tinyllm.places import Place

KERNELS = sorted(name for name in OPS if "numpy" in OPS[name].kernels)
BOUND = {"float64": 1e-13, "float32": 1e-5}
every_kernel = pytest.mark.parametrize("name", KERNELS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


class Pair:
    """A kernel as the harness takes an op."""

    def __init__(self, name):
        self.forward, self.backward, *_ = OPS[name].kernels["numpy"]


@pytest.fixture(params=["as it is", "small blocks", "threads"], autouse=True)
def how(request, monkeypatch):
    """The cases are small: blocks must be too, if there are to be several."""
    if request.param == "as it is":
        yield
        return
    monkeypatch.setattr(share, "BLOCK", 7)
    monkeypatch.setattr(share, "PART", 5)
    monkeypatch.setattr(attention, "QUERIES", 2)
    monkeypatch.setattr(attention, "WEIGHTS", 8)
    monkeypatch.setattr(linear_cross_entropy, "WORDS", 3)
    with share.op_threads(3 if request.param == "threads" else 1):
        yield


def plain(name, case, dtype):
    with plain_ops():
        return run(OPS[name], case, dtype)


def check(name, case, dtype, bound=None):
    ours = run(OPS[name], case, dtype)
    for array in [ours.y, *ours.grads]:
        assert array is None or (type(array) is np.ndarray and array.dtype == dtype)
    assert_same_run(f"{name} {dtype}", ours, plain(name, case, dtype), bound or BOUND[dtype], FLOOR[dtype])


def test_these_add_to_a_gradient():
    assert ADDING == ["embedding", "layer_norm", "linear", "linear_cross_entropy"]


def test_these_ops_have_one():
    assert KERNELS == ["add", "causal_attention", "embedding", "gelu_tanh", "layer_norm", "linear",
                       "linear_cross_entropy"]  # fmt: skip


@every_kernel
@both_dtypes
def test_equals_the_op(name, dtype):
    cases = st.composite(lambda draw: MAKERS[name](HypothesisChooser(draw, st)))()
    settings(max_examples=40)(given(cases)(lambda case: check(name, case, dtype)))()


@every_kernel
def test_keeps_the_contract(name, monkeypatch):
    monkeypatch.setitem(OPS, name, Pair(name))
    for case in examples(name, 20):
        check_contract(name, case)


@pytest.mark.parametrize("name", [name for name in KERNELS if "needs" in OPS[name].kernels["numpy"].asks])
def test_needs_leaves_out_only_what_nobody_needs(name, monkeypatch):
    monkeypatch.setitem(OPS, name, Pair(name))
    for case in examples(name, 10):
        check_needs(name, case)


ADDING = [name for name in KERNELS if "into" in OPS[name].kernels["numpy"].asks]


@pytest.mark.parametrize("name", ADDING)
@pytest.mark.parametrize("started", [False, True], ids=["first", "added"])
def test_adds_to_the_gradient_that_is_there(name, started):
    forward, backward, *_ = OPS[name].kernels["numpy"]
    for case in examples(name, 20):
        y, saved = forward(*case.inputs, **case.options)
        dy = np.asarray(np.random.default_rng(3).standard_normal(np.shape(y)))
        grads = backward(dy, *saved)
        arrays = [None if g is None else np.full(g.shape, 2.0 if started else np.nan) for g in grads]
        places = tuple(None if array is None else Place(array, started) for array in arrays)
        added = backward(dy, *saved, into=places)
        assert any(isinstance(g, Place) for g in added)
        for g, ours, place in zip(grads, added, places):
            assert not isinstance(ours, Place) or ours is place
            if g is not None:
                ours = place.array - 2 * started if isinstance(ours, Place) else ours
                assert_close(name, ours, g, 1e-12)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def ids(n, *shape):
    return np.random.default_rng(1).integers(0, n, shape)


def keep(*shape):
    return np.random.default_rng(2).random(shape) >= 0.2


LARGER = {  # several blocks each, none of them full
    "add": [Case([normal(3, 50, 129), normal(50, 129)], torch.add)],
    "causal_attention": [
        Case([normal(2, T, 3 * H * D), keep(2, H, T, T) if p else None], None, {"n_head": H, "p": p})
        for T, H, D, p in [(1, 1, 1, 0.0), (63, 3, 5, 0.2), (65, 2, 7, 0.0), (130, 1, 8, 0.2), (515, 2, 3, 0.0),
                           (515, 1, 4, 0.2)]
    ],
    "embedding": [Case([ids(11, 40, 90), normal(11, 37)], F.embedding)],
    "gelu_tanh": [Case([2 * normal(3, 7, 9973)], None)],
    "layer_norm": [Case([normal(7, 301, 67), normal(67), normal(67)], None),
                   Case([normal(1000, 300), None, None], None)],
    "linear": [Case([normal(3, 77, 65), normal(65, 131), normal(131)], None)],
    "linear_cross_entropy": [Case([normal(70, 33), normal(9001, 33), ids(9001, 70)], None)],
}  # fmt: skip


@every_kernel
@both_dtypes
def test_equals_the_op_in_several_blocks(name, dtype):
    for case in LARGER[name]:
        check(name, case, dtype, {"float64": 1e-12, "float32": 2e-5}[dtype])


LAYOUTS = (np.asfortranarray, lambda x: x[..., ::-1].copy()[..., ::-1], lambda x: np.repeat(x, 2, -1)[..., ::2])


@every_kernel
def test_arrays_of_any_layout(name):
    """Transposed, reversed, every second one: what a view can be."""
    for case in examples(name, 10):
        expected = plain(name, case, "float64")
        for change in LAYOUTS:
            odd = [x if x is None or x.ndim == 0 else change(x) for x in case.inputs]
            assert_same_run(name, run(OPS[name], Case(odd, None, case.options)), expected, 1e-13)


# extreme values: those of the ops, with kernels


@both_dtypes
@pytest.mark.parametrize("scores", [extreme.SCORES[k] for k in ("±1e4", "constant rows", "one class")])
def test_extreme_scores(scores, dtype):
    """Through a head that is the identity."""
    targets = np.arange(len(scores)) % scores.shape[1]
    case = Case([scores, np.eye(scores.shape[1]), targets], lambda x, w, t: F.cross_entropy(x @ w.T, t))
    assert np.isfinite(extreme.compare("linear_cross_entropy", case, dtype, extreme.TINY[dtype]).y).all()


@both_dtypes
def test_a_confident_mistake_and_nothing_to_count(dtype):
    x, eye = Tensor(np.array([[1e4, 0.0]], dtype), requires_grad=True), np.eye(2, dtype=dtype)
    loss = ops.linear_cross_entropy(x, eye, np.array([1]))
    loss.backward()
    assert loss.item() == 1e4 and x.grad.tolist() == [[1.0, -1.0]]
    result = run(OPS["linear_cross_entropy"], Case([np.ones((2, 2)), np.eye(2), np.full(2, -100)], None), dtype)
    assert np.isnan(result.y) and not result.grads[0].any() and not result.grads[1].any()


@both_dtypes
@pytest.mark.parametrize("row", extreme.LAYER_NORM_ROWS.values(), ids=extreme.LAYER_NORM_ROWS.keys())
def test_extreme_rows(row, dtype):
    extreme.test_layer_norm(row, dtype)


@both_dtypes
def test_extreme_activations_and_attention(dtype):
    extreme.test_activations_from_minus_1e4_to_1e4("gelu_tanh", dtype)
    extreme.test_attention_scores_of_1e4(dtype)


@every_kernel
@both_dtypes
def test_what_is_wrong_is_said_as_by_the_op(name, dtype):
    wrong = {
        "add": lambda: ops.add(normal(2, 3), normal(4)),
        "causal_attention": lambda: ops.causal_attention(normal(1, 2, 8), n_head=2),
        "embedding": lambda: ops.embedding(np.array([5]), normal(5, 2)),
        "gelu_tanh": lambda: ops.gelu_tanh(normal(2), 3),
        "layer_norm": lambda: ops.layer_norm(normal(2, 3), normal(4)),
        "linear": lambda: ops.linear(normal(2, 3), normal(4, 3)),
        "linear_cross_entropy": lambda: ops.linear_cross_entropy(normal(2, 3), normal(4, 3), np.array([0, 4])),
    }[name]
    with pytest.raises(Exception) as ours:
        wrong()
    with pytest.raises(type(ours.value)) as theirs, plain_ops():
        wrong()
    assert str(ours.value).partition("(")[0] == str(theirs.value).partition("(")[0]


@every_kernel
def test_nothing_in_nothing_out(name):
    none = np.zeros((0, 3))
    empty = {"add": [none, none], "gelu_tanh": [none], "linear": [none, normal(3, 2), None],
             "layer_norm": [none, normal(3), normal(3)], "embedding": [np.zeros(0, int), normal(3, 2)]}  # fmt: skip
    if name in empty:
        check(name, Case(empty[name], None), "float64")


# when they run


def ran_a_kernel(y):
    return y.node.pair is not y.node.op


def test_when_kernels_run():
    x = Tensor(normal(3, 4), requires_grad=True)
    assert ran_a_kernel(ops.gelu_tanh(x))
    with plain_ops():
        assert not ran_a_kernel(ops.gelu_tanh(x))
    with tinyllm.trace():
        assert not ran_a_kernel(ops.gelu_tanh(x))
    assert ran_a_kernel(ops.gelu_tanh(x))
    assert not ran_a_kernel(ops.exp(x)), "it has none"


def test_a_backward_belongs_to_the_forward_that_ran():
    """The two save different things; each is given back to its own."""
    x = Tensor(normal(3, 4), requires_grad=True)
    with plain_ops():
        y = ops.gelu_tanh(x)
    fast = ops.gelu_tanh(x)
    with plain_ops():
        b = gradients(fast, np.ones((3, 4)))[x]
    a = gradients(y, np.ones((3, 4)))[x]
    assert_close("gradient", a, b, 1e-14)
