"""The engine: who gets which gradient, what is kept alive for it and how long, and what is refused."""

import gc
import re
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.op_checks import assert_close
from tinyllm import GPT, SGD, GPTConfig, Observer, Tensor, gradients, no_grad, observe, ops
from tinyllm.autograd import OPS, op


def normal(*shape, seed=0, dtype="float64"):
    return np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape)).astype(dtype)


def leaf(*shape, seed=0, dtype="float64"):
    return Tensor(normal(*shape, seed=seed, dtype=dtype), requires_grad=True)


@pytest.fixture
def register():
    """`op`, but what it joins is taken out of OPS again."""
    known = set(OPS)
    yield op
    for name in set(OPS) - known:
        del OPS[name]


@pytest.fixture
def no_collector():
    """Without the cycle collector an object dies when its last name goes, or never."""
    gc.disable()
    yield
    gc.enable()


# who gets which gradient


@pytest.mark.parametrize(
    "f, derivative",
    [
        (lambda x: x * x, lambda x: 2 * x),
        (lambda x: x + x + x, lambda x: 0 * x + 3),
        (lambda x: x - x, lambda x: 0 * x),
        (lambda x: x * 2.0 + x.exp() - x, lambda x: 1 + np.exp(x)),
        (lambda x: ops.cat([x, x * 2.0, x]), lambda x: 0 * x + 4),
        (lambda x: (lambda a: a.exp() * (a * a))(x * 3.0), lambda x: 3 * np.exp(3 * x) * (9 * x * x + 6 * x)),
    ],
    ids=["square", "same input", "cancels", "three users", "one op thrice", "diamond"],
)
def test_the_shares_of_all_users_add_up(f, derivative):
    x = leaf(5)
    f(x).sum().backward()
    assert_close("dx", x.grad, derivative(x.data), 1e-14)


BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: (a * b).tanh(),
    lambda a, b: (a @ b).tanh(),
    lambda a, b: a.T + b[0],
    lambda a, b: a / (b * b + 1.0),
]


STEP = st.tuples(st.integers(0, len(BINARY) - 1), st.integers(0, 30), st.integers(0, 30))


@settings(max_examples=200)
@given(needs=st.tuples(*[st.booleans()] * 3), steps=st.lists(STEP, min_size=1, max_size=15))
def test_random_graphs_have_the_gradients_of_torch(needs, steps):
    ours = [Tensor(normal(3, 3, seed=i), requires_grad=need) for i, need in enumerate(needs)]
    theirs = [torch.tensor(x.data, requires_grad=x.requires_grad) for x in ours]
    for which, i, j in steps:
        for pool in (ours, theirs):
            pool.append(BINARY[which](pool[i % len(pool)], pool[j % len(pool)]))
    assert ours[-1].requires_grad == theirs[-1].requires_grad
    if ours[-1].requires_grad:
        dy = normal(3, 3, seed=9)
        ours[-1].backward(dy)
        theirs[-1].backward(torch.from_numpy(dy))
    for x, reference in zip(ours[:3], theirs[:3]):
        assert (x.grad is None) == (reference.grad is None)
        if x.grad is not None:
            assert_close("gradient", x.grad, reference.grad.numpy(), 1e-11)


def test_a_frozen_leaf_on_the_path_passes_the_gradient_on_and_gets_none():
    x, frozen, w = leaf(2, 3), Tensor(normal(3, 3, seed=1)), leaf(3, 3, seed=2)
    ops.linear(ops.gelu_tanh(ops.linear(x, frozen)), w).sum().backward()
    reference = torch.tensor(x.data, requires_grad=True)
    hidden = torch.nn.functional.gelu(reference @ torch.tensor(frozen.data), approximate="tanh")
    (hidden @ torch.tensor(w.data)).sum().backward()
    assert_close("dx", x.grad, reference.grad.numpy(), 1e-13)
    assert frozen.grad is None and w.grad is not None


def test_backward_runs_only_what_the_loss_was_made_of():
    x = leaf(3)
    loss, other = x.exp().sum(), x.exp().sum()
    loss.backward()
    x.grad = None
    other.backward()
    assert_close("dx", x.grad, np.exp(x.data), 1e-15)


def test_two_backwards_accumulate():
    x = leaf(3)
    (x * x).sum().backward()
    (x * 5.0).sum().backward()
    assert_close("dx", x.grad, 2 * x.data + 5, 1e-15)


def test_gradients_is_pure_and_gives_every_leaf_and_nothing_else():
    x, w, unused = leaf(3), leaf(3, seed=1), leaf(3, seed=2)
    w.grad = kept = np.full(3, 7.0)
    grads = gradients((x * w).exp().sum())
    assert set(grads) == {x, w}
    assert x.grad is None and unused.grad is None
    assert w.grad is kept and (kept == 7).all()
    assert_close("dx", grads[x], w.data * np.exp(x.data * w.data), 1e-15)


def test_the_gradient_is_that_of_the_forward_that_ran_whatever_happens_to_the_leaf():
    w = leaf(3)
    before = w.data.copy()
    loss = (w * w).sum()
    w.grad = np.ones(3)
    optimizer = SGD([w], lr=0.5)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    assert_close("dw", w.grad, 2 * before, 1e-15)
    assert not np.allclose(w.data, before)


# .grad belongs to its leaf alone


def saved_itself_forward(x):
    return 2 * x, (x,)


def saved_itself_backward(dy, x):
    return x


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: x,
        lambda x, w: x + w,
        lambda x, w: ops.stack([x, w]),
        lambda x, w: ops.cat([x.reshape(3, 2), w.T]),
        lambda x, w: (x + w).sum(),
        lambda x, w: ops.broadcast_to(x, shape=(4, 2, 3)),
        lambda x, w: OPS["saved_itself"](x),
    ],
    ids=["leaf itself", "add", "stack", "cat", "sum", "broadcast", "saved"],
)
def test_grad_is_a_writable_array_of_its_own(f, register):
    register(saved_itself_forward, saved_itself_backward)
    saved = []

    class Keep(Observer):
        def op_ran(self, op, inputs, options, output, arrays):
            saved.extend(a for a in arrays if isinstance(a, np.ndarray))

    x, w = leaf(2, 3), leaf(2, 3, seed=1)
    with observe(Keep()):
        y = f(x, w)
    dy = normal(*y.shape, seed=2)
    y.backward(dy)
    others = [dy, x.data, w.data, *saved]
    assert x.grad.flags.writeable
    assert not any(np.shares_memory(x.grad, other) for other in others)
    if w.grad is not None:
        assert w.grad.flags.writeable
        assert not any(np.shares_memory(w.grad, other) for other in [x.grad, *others])


def test_accumulating_into_grad_changes_no_gradient_of_another_leaf():
    x, w = leaf(3), leaf(3, seed=1)
    (x + w).backward(np.ones(3))
    (x * 1.0).backward(np.ones(3))
    assert (x.grad == 2).all() and (w.grad == 1).all()


# what a result is


ZERO_D = {
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(),
    "max": lambda x: x.max(),
    "element": lambda x: x[0],
    "inner product": lambda x: x @ x,
    "argmax": lambda x: x.argmax(),
    "arithmetic": lambda x: x.sum() * 2.0 + x.mean(),
    "unary": lambda x: -x.sum().exp(),
    "comparison": lambda x: x.sum() > 0,
    "mse_loss": lambda x: ops.mse_loss(x, x * 2.0),
    "cross_entropy": lambda x: ops.cross_entropy(x, np.array(1)),
}


@pytest.mark.parametrize("f", ZERO_D.values(), ids=ZERO_D)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_zero_d_result_is_an_array(f, dtype):
    y = f(leaf(3, dtype=dtype))
    assert type(y.data) is np.ndarray and y.shape == ()
    assert y.dtype.kind != "f" or y.dtype == dtype


@pytest.mark.parametrize(
    "f",
    [lambda x: x * 3.0, lambda x: x * x, lambda x: x.exp() + x, lambda x: -x],
    ids=["once", "twice", "two shares", "minus"],
)
def test_the_gradient_of_a_zero_d_leaf_is_a_writable_array(f):
    x = leaf(dtype="float32")
    assert [type(g) for g in gradients(f(x)).values()] == [np.ndarray]
    f(x).backward()
    f(x).backward()
    assert type(x.grad) is np.ndarray and x.grad.flags.writeable and x.grad.dtype == "float32"


NUMBERS = [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2), np.bool_(True)]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_takes_the_dtype_of_the_tensor(number, dtype):
    x = Tensor(np.array([1.0, 2.0]).astype(dtype), requires_grad=True)
    for y in (x + number, number - x, x * number, number / x, x**number, number**x, ops.maximum(x, number)):
        assert y.dtype == dtype
        assert gradients(y, np.ones(2, dtype))[x].dtype == dtype


def test_integers_have_no_gradient_and_become_floats_beside_floats():
    x, n, b = leaf(3, dtype="float32"), Tensor([1, 2, 3]), Tensor([True, False, True])
    y = x * n * b
    assert y.dtype == "float32"
    grads = gradients(y.sum())
    assert set(grads) == {x} and (grads[x] == [1, 0, 3]).all() and grads[x].dtype == "float32"
    assert not (n * 2).requires_grad and (n * 2).dtype == "int64"


@pytest.mark.parametrize("numbers", [np.array([3, -2], np.int8), np.array([True, False])], ids=["int8", "bool"])
def test_a_function_of_integers_has_the_precision_of_float32(numbers):
    y = ops.exp(Tensor(numbers))
    assert y.dtype == "float32"
    assert_close("exp", y.data, np.exp(numbers.astype(np.float32)), 1e-6)


@pytest.mark.parametrize("names", [("weight",), ("bias",), ("weight", "bias")], ids="+".join)
def test_optional_arrays_are_given_by_name(names):
    x = leaf(2, 3)
    arrays = {name: leaf(3, seed=i) for i, name in enumerate(names)}
    expected = torch.nn.functional.layer_norm(
        torch.tensor(x.data), (3,), **{name: torch.tensor(a.data) for name, a in arrays.items()}
    )
    assert_close("y", ops.layer_norm(x, **arrays).data, expected.numpy(), 1e-13)


def test_every_array_can_be_given_by_name():
    x, w = leaf(2, 3), leaf(3, 3, seed=1)
    assert (ops.linear(weight=w, x=x).data == x.data @ w.data).all()
    assert (ops.subtract(x, b=w[:2]).data == x.data - w.data[:2]).all()


def test_a_missing_array_is_not_replaced_by_one_that_was_given_another_name():
    x, w = leaf(3, 3), leaf(3, 3, seed=1)
    for call in (lambda: ops.linear(x, bias=w), lambda: ops.layer_norm(weight=w[0]), lambda: ops.subtract(b=w)):
        with pytest.raises(TypeError):
            call()


# what is kept, and how long


def test_a_chain_of_20000_ops_goes_forward_and_backward_and_away():
    x = leaf(2)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    gradients(y.sum(), np.ones(()))
    for _ in range(20_000):
        y = y * 1.0  # its first half is used up, the rest goes away without ever having run backward
    last = weakref.ref(y.node)
    del y
    assert last() is None


def test_an_activation_that_nobody_saved_is_freed_during_the_forward(no_collector):
    x = leaf(4)
    hidden = x + 1.0
    array, tensor = weakref.ref(hidden.data), weakref.ref(hidden)
    y = hidden + 1.0
    assert y.requires_grad
    del hidden
    assert array() is None and tensor() is None


def test_what_was_saved_is_freed_as_soon_as_its_backward_ran(no_collector):
    x = leaf(4)
    first = x.exp()
    second = first.exp()  # exp saves its output
    loss = second.sum()
    arrays = {"second": weakref.ref(second.data), "first": weakref.ref(first.data)}
    del first, second
    alive = []

    class Look(Observer):
        def backward_ran(self, node, dy, grads):
            alive.append([name for name, array in arrays.items() if array() is not None])

    with observe(Look()):
        loss.backward()
    assert alive == [["second", "first"], ["first"], []]
    assert loss.node.saved is None


def test_no_cycle_keeps_a_training_step_alive(no_collector):
    seen = []

    class Keep(Observer):
        def op_ran(self, op, inputs, options, output, saved):
            if output.requires_grad:
                seen.extend(map(weakref.ref, (output, output.node)))

    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=2, n_head=2, n_embd=4, dropout=0.1))
    ids = np.zeros((2, 4), np.int64)
    with observe(Keep()):
        loss = model.loss(ids, ids)
    alive = sum(ref() is not None for ref in seen)
    loss.backward()
    del loss
    assert alive > 20
    assert [ref() for ref in seen if ref() is not None] == []


def test_a_graph_without_a_backward_goes_with_its_last_name(no_collector):
    y = leaf(4).exp()
    z = (y * y).sum()
    refs = [weakref.ref(y.data), weakref.ref(y.node), weakref.ref(z.node)]
    del y, z
    assert [ref() for ref in refs] == [None] * 3


# what is refused, and in which words


def test_a_second_backward_says_what_to_do():
    x = leaf(3)
    y = x.exp()
    loss = y.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="sum: a second backward needs what .* freed; run the forward again"):
        loss.backward()
    with pytest.raises(RuntimeError, match="exp: a second backward"):
        (y * 2.0).sum().backward()


@pytest.mark.parametrize(
    "dy, error, words",
    [
        (None, RuntimeError, r"\(2, 3\).*needs dy"),
        (np.ones((3, 2)), ValueError, r"dy must be \(2, 3\) float64.*got \(3, 2\) float64"),
        (np.ones(3), ValueError, r"got \(3,\)"),
        (np.ones((2, 3), np.float32), ValueError, "got .*float32"),
        (np.ones((2, 3), np.int64), ValueError, "got .*int64"),
    ],
    ids=["none", "transposed", "broadcastable", "float32", "integers"],
)
def test_a_wrong_dy_is_refused(dy, error, words):
    x = leaf(2, 3)
    with pytest.raises(error, match=words):
        (x * 2.0).backward(dy)
    assert x.grad is None


def test_one_element_needs_no_dy_and_dy_may_be_a_tensor():
    x = leaf(1, 1)
    (x * 2.0).backward()
    assert (x.grad == 2).all() and x.grad.shape == (1, 1)
    (x * 2.0).backward(Tensor(np.full((1, 1), 3.0)))
    assert (x.grad == 8).all()


@pytest.mark.parametrize("x", [Tensor([1.0]), Tensor(3), Tensor([1.0]) * 2.0], ids=["leaf", "integer", "result"])
def test_backward_without_anything_that_requires_a_gradient(x):
    with pytest.raises(RuntimeError, match="nothing here requires a gradient"):
        x.backward()


def test_only_floats_can_require_a_gradient():
    for data in ([1, 2], [True]):
        with pytest.raises(TypeError, match="only floating-point"):
            Tensor(data, requires_grad=True)


@pytest.mark.parametrize("data", ["text", None, [1j], [[1.0], None], {"a": 1}], ids=str)
def test_what_is_no_array_of_numbers_is_refused(data):
    with pytest.raises((TypeError, ValueError)):
        Tensor(data)


def test_no_grad_is_a_context():
    x = leaf(3)
    with pytest.raises(KeyError):
        with no_grad():
            with no_grad():
                assert not (x * 2.0).requires_grad
            y = x * 2.0
            raise KeyError
    assert not y.requires_grad and y.node is None
    assert (x * 2.0).requires_grad


def test_no_grad_is_a_decorator():
    @no_grad()
    def double(x):
        return x * 2.0

    x = leaf(3)
    assert not double(x).requires_grad and not double(x).requires_grad
    assert (x * 2.0).requires_grad


A, B = leaf(2, 2), leaf(2, 2, dtype="float32")
MIXED = {
    "add": lambda: A + B,
    "subtract": lambda: B - A.data,
    "matmul": lambda: ops.matmul(A, B),
    "linear": lambda: ops.linear(A, A, B[0]),
    "cat": lambda: ops.cat([A, A, B]),
    "where": lambda: ops.where(A > 0, A, B),
    "layer_norm": lambda: ops.layer_norm(A, None, B[0]),
}


@pytest.mark.parametrize("name", MIXED)
def test_two_float_dtypes_are_refused_and_both_named(name):
    with pytest.raises(TypeError, match=f"^{name} got float32 and float64"):
        MIXED[name]()


@pytest.mark.parametrize(
    "f, words",
    [
        (lambda: ops.embedding(leaf(2), leaf(5, 3)), "embedding: ids must be integers"),
        (lambda: ops.cross_entropy(leaf(2, 3), leaf(2)), "cross_entropy: targets must be integers"),
        (lambda: ops.softmax(leaf(2, 3), 0, 1), r"softmax\(x, \*, axis=-1\): got 3 arguments by place"),
    ],
    ids=["float ids", "float targets", "positional option"],
)
def test_wrong_arguments_are_refused(f, words):
    with pytest.raises(TypeError, match=words):
        f()


def notes(error):
    return " ".join(error.value.__notes__)


@pytest.mark.parametrize(
    "f, note",
    [
        (lambda: leaf(2, 3) @ leaf(2, 3), "in matmul((2, 3) float64, (2, 3) float64)"),
        (lambda: leaf(2, 3, dtype="float32").reshape(4, 4), "in reshape((2, 3) float32, shape=(4, 4))"),
        (lambda: ops.layer_norm(leaf(2), leaf(4), eps=0.1), "in layer_norm((2,) float64, (4,) float64, None, eps=0.1)"),
    ],
    ids=["matmul", "reshape", "layer_norm"],
)
def test_an_error_in_a_forward_says_in_which_op_and_on_what(f, note):
    with pytest.raises((ValueError, TypeError)) as error:
        f()
    assert note in notes(error)


def test_an_unknown_option_is_named_and_torchs_dim_is_translated():
    with pytest.raises(TypeError, match=r"softmax has no option no_such_option: \(x, \*, axis=-1\)$"):
        ops.softmax(leaf(2), no_such_option=1)
    with pytest.raises(TypeError, match="torch's dim and keepdim are axis and keepdims here"):
        ops.sum(leaf(2), dim=0)


def test_options_may_be_given_by_place_as_in_torch():
    x, w = leaf(2, 3), leaf(3)
    for ours, theirs in [
        (ops.softmax(x, 0), torch.softmax(torch.tensor(x.data), 0)),
        (ops.sum(x, 1, True), torch.sum(torch.tensor(x.data), 1, True)),
        (ops.reshape(x, (3, 2)), torch.reshape(torch.tensor(x.data), (3, 2))),
        (ops.clip(x, -0.1, 0.2), torch.clip(torch.tensor(x.data), -0.1, 0.2)),
        (x.transpose(0, 1), torch.tensor(x.data).transpose(0, 1)),
        (x.mean(0), torch.tensor(x.data).mean(0)),
    ]:
        assert_close("y", ours.data, theirs.numpy(), 1e-14)
    assert (ops.layer_norm(x, w, w, 0.1).data == ops.layer_norm(x, w, w, eps=0.1).data).all()
    for wrong in (lambda: ops.exp(x, 1), lambda: ops.softmax(x, 0, axis=1), lambda: ops.softmax(x, 0, 1)):
        with pytest.raises(TypeError, match="arguments by place"):
            wrong()


def twice_forward(x):
    return 2 * x, ()


WRONG = {
    "shape": (lambda dy: dy[:1], "must give a (3,) float32 gradient, gave (1,) float32"),
    "0-d shape": (lambda dy: dy.sum(), "must give a (3,) float32 gradient, gave () float32"),
    "dtype": (lambda dy: dy.astype(np.float64), "must give a (3,) float32 gradient, gave (3,) float64"),
    "none": (lambda dy: None, "must give a (3,) float32 gradient, gave none"),
    "too many": (lambda dy: (dy, dy), "gave 2 gradients for 1 arrays"),
    "too few": (lambda dy: (), "gave 0 gradients for 1 arrays"),
}


@pytest.mark.parametrize("backward, words", WRONG.values(), ids=WRONG)
def test_a_wrong_backward_is_refused_by_name(backward, words, register):
    y = register(twice_forward, backward)(leaf(3, dtype="float32"))
    with pytest.raises(RuntimeError, match="^twice_backward " + re.escape(words)):
        y.backward(np.ones(3, np.float32))


def test_an_error_in_a_backward_says_in_which_op(register):
    def broken(dy):
        raise ZeroDivisionError("inside")

    y = register(twice_forward, broken)(leaf(3))
    with pytest.raises(ZeroDivisionError, match="inside") as error:
        y.sum().backward()
    assert notes(error) == "in the backward of <twice -> (3,) float64>"


def test_a_forward_that_changes_the_dtype_is_refused_by_name(register):
    def promoted_forward(x):
        return x * np.float64(2), ()

    promoted = register(promoted_forward, lambda dy: dy)
    assert promoted(leaf(3)).dtype == "float64"
    with pytest.raises(TypeError, match=r"promoted\(\(3,\) float32\) made float64 out of float32"):
        promoted(leaf(3, dtype="float32"))


def test_an_op_defined_anew_is_never_silently_the_old_one(register):
    def thrice_forward(x):
        return 3 * x, ()

    register(thrice_forward, lambda dy: dy)  # a reader's wrong backward, corrected in the next notebook cell
    try:
        corrected = register(thrice_forward, lambda dy: 3 * dy)
    except ValueError:
        return
    assert (gradients(corrected(leaf(2)), np.ones(2)).popitem()[1] == 3).all()
