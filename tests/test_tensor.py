"""A Tensor behaves as torch's does: the same expression under both libraries, and what torch refuses is refused."""

import numpy as np
import pytest
import torch

import tinyllm
from tests.op_checks import BOUND, assert_close
from tinyllm import Tensor, from_numpy, no_grad, tensor

RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.standard_normal((2, 3, 4)),
    "y": RNG.standard_normal((3, 4)),
    "v": RNG.standard_normal(4),
    "s": RNG.standard_normal(()),
    "n": np.array([[2, 0, 1], [2, 2, -1]]),
    "n32": np.array([2, 0, 1], np.int32),
    "b": np.array([True, False, True]),
}
A, K = RNG.standard_normal((3, 4)), np.array([1, 0, 2])  # numpy arrays; for torch its tensors


def names(library, dtype):
    """What an expression can use: L, the tensors of ARRAYS (floats want a gradient), and A and K."""
    values = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in ARRAYS.items()}
    ours = library is tinyllm
    make = tensor if ours else torch.tensor
    tensors = {name: make(a, requires_grad=a.dtype.kind == "f") for name, a in values.items()}
    arrays = {"A": A.astype(dtype), "K": K}
    arrays = arrays if ours else {name: torch.tensor(a) for name, a in arrays.items()}
    return {"L": library, **arrays, **tensors}


def assert_same(what, ours, theirs, bound):
    """The same structure; of tensors the same shape, dtype, numbers and requires_grad."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, Tensor), f"{what} is a {type(ours).__name__}"
        assert type(ours.data) is np.ndarray
        assert f"torch.{ours.dtype}" == str(theirs.dtype), f"{what} is {ours.dtype}, torch's is {theirs.dtype}"
        assert ours.shape == tuple(theirs.shape), f"{what} is {ours.shape}, torch's is {tuple(theirs.shape)}"
        assert ours.requires_grad == theirs.requires_grad
        theirs = theirs.detach().numpy()
        if ours.dtype.kind == "f":
            assert_close(what, ours.data, theirs, bound)
        else:
            assert (ours.data == theirs).all(), f"{what}: {ours}, torch's is {theirs}"
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for i, (a, b) in enumerate(zip(ours, theirs)):
            assert_same(f"{what}[{i}]", a, b, bound)
    else:
        assert type(ours) is type(theirs) and ours == theirs, f"{what} is {ours!r}, torch's is {theirs!r}"


def backward(result):
    """With a random dy through every tensor of the result."""
    for i, y in enumerate(result if isinstance(result, (list, tuple)) else [result]):
        if getattr(y, "requires_grad", False):
            dy = np.asarray(np.random.default_rng(i).standard_normal(tuple(y.shape)))
            y.backward(dy.astype(y.dtype) if isinstance(y, Tensor) else torch.tensor(dy, dtype=y.dtype))


def check(expression, dtype):
    ours, theirs = names(tinyllm, dtype), names(torch, dtype)
    results = eval(expression, ours), eval(expression, theirs)
    assert_same(expression, *results, BOUND[dtype])
    for result in results:
        backward(result)
    for name in ARRAYS:
        grad, reference = ours[name].grad, theirs[name].grad
        assert (grad is None) == (reference is None), f"gradient of {name}"
        if grad is not None:
            assert grad.dtype == dtype
            assert_close(f"gradient of {name}", np.asarray(grad), reference.numpy(), BOUND[dtype])


def lines(text):
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


SHAPES = lines("""
    x.reshape(6, 4)
    x.reshape((4, 6))
    x.reshape(2, -1)
    x.reshape(-1)
    x.view(-1, 6)
    x.flatten()
    s.reshape(1, 1)
    x.transpose(0, 1)
    x.transpose(-1, 0)
    y.transpose(-2, -1)
    x.permute(2, 0, 1)
    x.permute((1, -1, 0))
    y.T
    x[:, :1].squeeze()
    x[:, :1].squeeze(1)
    x[:, :1].squeeze(-2)
    x.squeeze(1)
    s.squeeze()
    x.unsqueeze(0)
    x.unsqueeze(-1)
    x.unsqueeze(2)
    s.unsqueeze(-1)
    L.squeeze(x[:1], 0)
    L.unsqueeze(y, 1)
    y.broadcast_to(2, 3, 4)
    v.expand(3, 4)
    x.transpose(0, 2).reshape(-1, 2)
    (tuple(x.shape), x.ndim, x.numel(), x.size(1), x.size(-1), tuple(x.size()), len(x))
""")

INDEXING = lines("""
    x[0]
    x[-1, 2]
    x[1, 2, 3]
    x[:, 1:]
    x[..., ::2]
    x[..., -1]
    x[:, None]
    x[0, :, 1:3]
    x[1:1]
    y[K]
    y[[0, 0, 2]]
    y[n]
    y[n, 1]
    y[n, n]
    x[:, n32]
    x[0, [0, 1], [2, 2]]
    y[b]
    y[y > 0]
    x[:, b, 1:]
    y[y.argmax(0)]
    list(y)
    [row[0] for row in x]
    list(v)
""")

JOINING = lines("""
    L.cat([x, x])
    L.cat((x, x * 2), 1)
    L.cat([x, x[..., :1]], -1)
    L.cat([x], 2)
    L.cat([v, n[0]])
    L.cat([n, n])
    L.stack([y, y])
    L.stack((y, y, -y), 1)
    L.stack([v, v], -1)
    x.split(2, 1)
    x.split(4, -1)
    x.split([1, 3], -1)
    L.split(y, 2)
    L.split(y[:, :0], 2, 1)
""")

ARITHMETIC = lines("""
    x + y
    x - v
    x * y[:, :1]
    x / (y * y + 1)
    x + s
    x * x.sum(axis=1, keepdims=True)
    x @ y.T
    y @ v
    v @ v
    v @ y.T
    -x
    abs(x)
    x + 1
    1 - x
    2 * x
    1 / (x * x + 1)
    x / 2
    x ** 2
    x ** 3
    (x * x + 1) ** 0.5
    (x * x + 1) ** -1
    (x * x + 1) ** y
    2 ** x
    2.5 ** x
    A + y
    A - y
    A * x
    A / (y * y + 1)
    (A * A + 1) ** y
    A @ y.T
    n32 - y[:, 0]
    x + A
    x - A
    y @ A.T
    x.exp() + (x * x + 1).log() + (x * x + 1).sqrt() + x.tanh() + x.sigmoid() + x.relu() + x.abs() + x.neg()
    x.add(y).sub(v).mul(y).div(y * y + 1)
    (x * x).pow(2)
    y.matmul(v)
    x.clip(-0.5, 0.5)
    x.clamp(min=0.1)
    x.clip(max=0)
    L.maximum(x, y)
    x.maximum(y)
    L.where(x > 0, x, y)
    L.where(x > 0, x, 0.0)
    L.where(b, n32, 7)
    L.where(b, n32, 0.5)
    L.softmax(x, axis=1) * L.log_softmax(x, axis=-1)
""")

REDUCTIONS = lines("""
    x.sum()
    x.sum(axis=1)
    x.sum(axis=(0, -1))
    x.sum(axis=-1, keepdims=True)
    x.mean()
    x.mean(axis=0)
    x.mean(axis=(1, 2), keepdims=True)
    x.var()
    x.var(axis=-1)
    x.var(axis=(0, 1), correction=0, keepdims=True)
    x.max()
    L.mean(x, axis=1) + L.sum(x, axis=1) + L.var(x, axis=1)
    n.sum()
    n.sum(axis=0)
    n32.sum()
    b.sum()
    n.max()
    x.argmax()
    x.argmax(1)
    x.argmax(axis=-1)
    n.argmax(0)
""")

COMPARISONS = lines("""
    x < y
    x <= 0
    x > v
    x >= 0.25
    x == x
    x != y
    n == 2
    (n < 2, n <= 2, n > 2, n >= 2)
    0 < x
    A >= y
    (x > 0) & (y > 0)
    (x > 0) | b.reshape(3, 1)
    ~b
    b == True
    1 < n
""")

INTEGERS = lines("""
    n + 1
    n - n
    n * 2
    n ** 2
    2 ** (n + 1)
    n / 2
    n / 2.0
    2 / (n * n + 1)
    (n + 1) / (n * n + 1)
    n32 / 2
    n * 0.5
    n + 0.5
    (n * n) ** 0.5
    2.0 ** n
    n32 + 1
    2 * n32
    n32 * n32
    n32 + n[0]
    n32 + b
    b + b
    b * 2
    b + 0.5
    n * x[:, :, 0]
    x * b.reshape(3, 1)
    n.exp()
    n.float() / 2
    n32.long()
    x.detach().long()
    n.double()
    n @ n32.long()
""")

PLAIN = lines("""
    x.tolist()
    n.tolist()
    b.tolist()
    s.tolist()
    (s.item(), n[0, 0].item(), b[0].item())
    (float(s.detach()), int(n[0, 0]), bool(b[1]), bool(s > 100))
    (float(n[0, 0]), int(x.detach()[:1, :1, :1] * 100))
    (2 in n32, 17 in n32)
    [row.tolist() for row in n]
    f"{n[0, 0]:03d}"
    (x.detach().numpy() + 1).tolist()
    (x.requires_grad, n.requires_grad, x.detach().requires_grad, (x > 0).requires_grad)
""")

CREATION = lines("""
    L.zeros(2, 3)
    L.zeros((2, 3))
    L.zeros(2, dtype=L.int32)
    L.ones(3)
    L.ones([2, 1])
    L.ones(2, dtype=L.bool)
    L.full((2, 2), 7)
    L.full((2,), 0.1)
    L.full((), True)
    L.full((2,), 3, dtype=L.float32)
    L.full((2,), 0.1, dtype=L.float64)
    L.eye(3)
    L.eye(2, 3)
    L.arange(5)
    L.arange(2, 9, 3)
    L.arange(9, 2, -3)
    L.arange(4.0)
    L.arange(0, 1, 0.1)
    L.arange(0, 1, 0.1, dtype=L.float64)
    L.arange(3, dtype=L.float32)
    L.tensor(3)
    L.tensor(2.5)
    L.tensor(True)
    L.tensor([])
    L.tensor([1, 2])
    L.tensor([[1, 2.5], [3, 4]])
    L.tensor([True, False])
    L.tensor([1, 2], dtype=L.float32)
    L.tensor([1.5, -2.5], dtype=L.int64)
    L.tensor([0.1], dtype=L.float64)
    L.tensor(16777217.0, dtype=L.int64)
    L.tensor([1.0], requires_grad=True) * 2
    L.zeros(2, requires_grad=True) + 1
    L.zeros_like(y)
    L.ones_like(n)
    L.zeros_like(b)
    L.tensor([0.1, 0.2]) == 0.1
    L.tensor([0.1, 0.2]) >= FLOAT
    L.tensor([0.1, 0.2]) * FLOAT
""")

ALL = SHAPES + INDEXING + JOINING + ARITHMETIC + REDUCTIONS + COMPARISONS


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("expression", ALL)
def test_value_and_gradient_are_those_of_torch(expression, dtype):
    check(expression, dtype)


@pytest.mark.parametrize("expression", INTEGERS + PLAIN)
def test_integers_and_plain_numbers_are_those_of_torch(expression):
    check(expression, "float32")


@pytest.mark.parametrize("expression", CREATION)
def test_creation_is_that_of_torch(expression):
    ours, theirs = names(tinyllm, "float32"), names(torch, "float32")
    ours["FLOAT"] = theirs["FLOAT"] = np.float64(0.1)
    bound = 1e-15 if "float64" in expression else 1e-7
    assert_same(expression, eval(expression, ours), eval(expression, theirs), bound)


@pytest.mark.parametrize("draw", [tinyllm.rand, tinyllm.randn])
def test_drawn_tensors_have_the_shape_and_dtype_asked_for(draw):
    assert draw(2, 3).shape == draw((2, 3)).shape == (2, 3) and draw().shape == ()
    assert draw(2).dtype == "float32" and draw(2, dtype="float64", requires_grad=True).dtype == "float64"
    assert draw(2, requires_grad=True).requires_grad


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(3)
    copied, shared = tensor(array), from_numpy(array)
    array[0] = 1
    assert copied.tolist() == [0, 0, 0] and shared.tolist() == [1, 0, 0]
    assert shared.dtype == "float64"
    shared[1] = 5.0  # a tensor that is written to gets a new array
    assert array.tolist() == [1, 0, 0]


# refused by both

REFUSED = lines("""
    x.unsqueeze(4)
    x.unsqueeze(-5)
    x.squeeze(3)
    x[:1].squeeze(-4)
    x.reshape(5, 5)
    x.reshape(-1, -1)
    x.transpose(0, 3)
    x.permute(0, 1)
    x.permute(0, 0, 1)
    x.broadcast_to(2, 3, 5)
    x.sum(axis=3)
    x.argmax(3)
    x[2]
    x[0, 0, 0, 0]
    x[1.5]
    y[K + 1]
    y[[True, False]]
    x + L.ones(5, dtype=x.dtype)
    x @ x[0]
    s @ s
    y @ y
    L.cat([x, y])
    L.cat([])
    L.stack([y, v])
    x.split([1, 1], -1)
    n ** -1
    b - b
    -b
    bool(x)
    bool(x[:0])
    float(x)
    int(y)
    x.item()
    x[:0].item()
    x.numpy()
    len(s)
    iter(s)
    n.requires_grad_()
    (x * 2).requires_grad_(False)
    L.tensor([1, 2], requires_grad=True)
    L.tensor([[1.0], [1.0, 2.0]])
    L.tensor("text")
    L.zeros(-1)
    x if x > 0 else y
""")


@pytest.mark.parametrize("expression", REFUSED)
def test_what_torch_refuses_is_refused(expression):
    for library in (torch, tinyllm):
        with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)):
            eval(expression, names(library, "float32"))


# changing a tensor in place


def execute(statements, library, dtype="float64"):
    scope = names(library, dtype)
    exec(statements, scope)
    return scope


@pytest.mark.parametrize(
    "statements",
    lines("""
    x += 1
    x -= y
    x *= v; x /= 2
    x += A; x *= s
    s += 1; s *= 2.5
    v[0] = 5
    x[0] = y
    x[:, 1:] = 0.5
    x[..., -1] += 1
    y[y > 0] = 0
    y[K] = y * 2
    y[n[0], 1] = 7.5
    v[1:] = A[0, 1:]
    n += 1
    n *= n; n[0] = 9
    b[0] = False
    n32 += n[0]
    """),
)
def test_in_place_changes_under_no_grad_are_those_of_torch(statements):
    with no_grad():
        ours = execute(statements, tinyllm)
    with torch.no_grad():
        theirs = execute(statements, torch)
    for name in ARRAYS:
        assert_same(f"{name} after {statements}", ours[name], theirs[name], 1e-15)


REFUSED_IN_PLACE = lines("""
    x += 1
    x *= y
    x[0] = 1.0
    n32 += 0.5
    n /= 2
    n *= x[0, :2, :3].detach()
    d = v.detach(); d += y.detach()
    d = s.detach(); d *= v.detach()
    d = v.detach(); d[0] = y.detach()
    d = v.detach(); d[9] = 1.0
""")


@pytest.mark.parametrize("statements", REFUSED_IN_PLACE)
def test_in_place_changes_that_torch_refuses_are_refused(statements):
    for library in (torch, tinyllm):
        with pytest.raises((RuntimeError, ValueError, IndexError, TypeError)):
            execute(statements, library)


@pytest.mark.parametrize("change", lines("y += 1\ny *= y\ny[0] = 1.0\nz += y\nz[0] = y[0]\nw -= 1\nw[0] = 1.0"))
def test_changing_what_a_graph_was_built_on_says_what_to_do(change):
    w = tensor([1.0, 2.0], requires_grad=True)
    scope = {"w": w, "y": w * 2, "z": tensor([1.0, 2.0])}
    before = {name: x.tolist() for name, x in scope.items()}
    with pytest.raises(RuntimeError, match="numbers that backward.. needs; make a new tensor.*no_grad"):
        exec(change, scope)
    assert {name: scope[name].tolist() for name in before} == before


def test_a_result_of_an_op_is_not_changed_under_no_grad_either():
    y = tensor([1.0, 2.0], requires_grad=True) * 2
    with no_grad(), pytest.raises(RuntimeError, match="backward"):
        y += 1


@pytest.mark.parametrize("change", ["w += 1", "w -= w", "w[0] = 7.0", "w[mask] = 0.0"])
def test_a_change_between_forward_and_backward_leaves_the_gradient_of_the_forward_that_ran(change):
    scope = {"w": tensor([1.0, 2.0, 3.0], requires_grad=True), "mask": tensor([True, False, True])}
    w = scope["w"]
    y = w * w
    with no_grad():
        exec(change, scope)
    assert scope["w"] is w and w.requires_grad and w.tolist() != [1, 2, 3]
    y.backward(np.ones(3, np.float32))
    assert w.grad.tolist() == [2, 4, 6]


def test_a_view_made_by_an_op_is_not_changed_with_its_source():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    row, flat, same = x[0], x.reshape(-1), x.detach()
    x[0] = 9.0
    x += 1
    assert row.tolist() == [1, 2] and flat.tolist() == [1, 2, 3, 4] and same.tolist() == [[1, 2], [3, 4]]


def test_an_integer_index_tensor_changed_after_the_forward_does_not_redirect_the_gradient():
    w, ids = tensor([1.0, 2.0, 3.0], requires_grad=True), tensor([0, 0, 2])
    y = w[ids]
    ids[0] = 1
    y.backward(np.ones(3, np.float32))
    assert w.grad.tolist() == [2, 0, 1]


def test_transpose_without_axes_exchanges_the_last_two():
    x = tensor(ARRAYS["x"])
    assert (x.transpose().data == ARRAYS["x"].swapaxes(1, 2)).all()


# moving, and being an object


def test_numpy_reads_a_tensor_that_needs_no_gradient():
    w = tensor([1.0, 2.0], requires_grad=True)
    for array in (np.asarray(w.detach()), np.asarray(w.detach(), dtype="float64")):
        assert array.dtype.kind == "f" and array.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(w)


def test_to_a_dtype_keeps_a_leaf_a_leaf_and_refuses_a_result():
    w = tensor([0.5], requires_grad=True)
    assert w.to("float32") is w
    wide = w.to("float64")
    assert wide.dtype == "float64" and wide.requires_grad and wide.node is None
    with pytest.raises(RuntimeError, match="detach"):
        (w * 2).to("float64")
    with no_grad():
        assert (w * 2).double().dtype == "float64"


def test_requires_grad_can_be_switched_on_a_leaf():
    w = tensor([1.0])
    assert w.requires_grad_() is w and w.requires_grad
    assert not w.requires_grad_(False).requires_grad


def test_a_tensor_is_its_own_key():
    a, b = tensor([1.0, 2.0]), tensor([1.0, 2.0])
    table = {a: "a", b: "b"}
    assert table[a] == "a" and table[b] == "b" and len({a, b, a}) == 2
    a += 1
    assert table[a] == "a"


@pytest.mark.parametrize(
    "x, text",
    [
        (tensor([1.0, 2.5]), "Tensor([1. , 2.5], shape=(2,), dtype=float32)"),
        (tensor(3), "Tensor(3, shape=(), dtype=int64)"),
        (tensor([True]), "Tensor([ True], shape=(1,), dtype=bool)"),
        (tensor([0.123456], requires_grad=True), "Tensor([0.1235], shape=(1,), dtype=float32, requires_grad=True)"),
        (tensor([1.0], requires_grad=True).exp(), "Tensor([2.7183], shape=(1,), dtype=float32, from=exp)"),
        (tensor([[1, 2], [3, 4]]), "Tensor([[1, 2],\n        [3, 4]], shape=(2, 2), dtype=int64)"),
    ],
    ids=["floats", "0-d", "bool", "leaf", "result", "matrix"],
)
def test_repr(x, text):
    assert repr(x) == str(x) == f"{x}" == text


def test_a_number_can_be_formatted():
    assert f"{tensor(1.23456):.2f}" == "1.23"
    with pytest.raises(ValueError, match="one element"):
        f"{tensor([1.0, 2.0]):.2f}"


def test_an_axis_may_be_a_number_of_numpys():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    x.sum(axis=np.int64(1)).sum().backward()
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_to_another_dtype_is_a_leaf_of_its_own():
    x = Tensor([1.5], requires_grad=True)
    assert x.to("float32") is x
    assert x.double().requires_grad and x.double().node is None and x.double().dtype == "float64"
    assert not x.long().requires_grad and x.long().tolist() == [1]


def test_writing_to_a_part_would_be_lost_and_is_refused():
    a = tinyllm.ones(2, 2)
    with pytest.raises(RuntimeError, match=r"as in a\[0, 1\] = 5 and not a\[0\]\[1\] = 5"):
        a[0][1] = 5
    a[0, 1] = 5
    a[0] += 1
    assert a.tolist() == [[2, 6], [1, 1]]


@pytest.mark.parametrize("data", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_arrays_of_anything_but_numbers_are_refused(data):
    with pytest.raises(TypeError, match="a tensor holds numbers"):
        Tensor(data)


def test_integers_cannot_be_told_to_require_a_gradient():
    x = Tensor([1, 2])
    with pytest.raises(TypeError, match="only floating-point"):
        x.requires_grad = True


def test_the_truth_of_many_numbers_is_ambiguous():
    with pytest.raises(ValueError, match=r"whether \(2,\) numbers are true is ambiguous"):
        bool(Tensor([1.0, 2.0]) > 0)
