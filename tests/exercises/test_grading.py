"""Right backwards are called right, wrong ones wrong, and what is said of them is true."""

import math

import numpy as np
import pytest

from tinyllm.autograd import Op
from tinyllm.checking import tinyllm_ops
from tinyllm.exercises import grade
from tinyllm.exercises.levels import LINES, find_op, levels

OPS = tinyllm_ops()
every_op = pytest.mark.parametrize("name", sorted(OPS))


def graded(name, change):
    """The grade of tinyllm's own backward with every gradient changed."""
    op = OPS[name]

    def backward(dy, *saved):
        grads = op.backward(dy, *saved)
        grads = grads if isinstance(grads, tuple) else (grads,)
        return tuple(None if grad is None else change(np.asarray(grad)) for grad in grads)

    return grade(Op(op.forward, backward, op.discrete), op, "mine.py")


def graded_as(name, backward):
    op = OPS[name]
    return grade(Op(op.forward, backward, op.discrete), op, "mine.py")


MUTATIONS = {
    "sign": lambda grad: -grad,
    "scale": lambda grad: grad * 1.0001,
    "transpose": lambda grad: grad.swapaxes(-1, -2) if grad.ndim > 1 else grad,
    "shift": lambda grad: grad + 1e-3,
    "reversed": lambda grad: grad.ravel()[::-1].reshape(grad.shape),
    "zero": lambda grad: grad * 0,
    "shape": lambda grad: grad[None],
    "nan": lambda grad: grad * math.nan,
    "inf": lambda grad: grad + math.inf,
    "dtype": lambda grad: grad * np.float64(1),
}


@every_op
@pytest.mark.parametrize("change", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutated_backward_is_wrong(name, change):
    result = graded(name, change)
    assert not result.right and result.first_wrong is not None
    gradients = [gradient for gradient in result.gradients if "[" not in gradient.name]
    if change is not MUTATIONS["transpose"]:  # which may leave vectors as they are
        assert {gradient.verdict for gradient in gradients} <= {"wrong"}
    assert all(gradient.findings for gradient in result.gradients if gradient.verdict == "wrong")


def hints(result):
    """{gradient: its hint}, without those for the op."""
    return {
        gradient.name: "; ".join(f.removeprefix("hint: ") for f in gradient.findings if f.startswith("hint: "))
        for gradient in result.gradients
        if gradient.verdict == "wrong"
    }


def test_rounding_is_close():
    result = graded("layer_norm", lambda grad: grad * 3 / 3)
    assert result.right and {gradient.verdict for gradient in result.gradients} == {"close"}
    assert all(0 < gradient.error < 1e-13 for gradient in result.gradients)


def test_the_first_wrong_entry_and_finite_differences_are_told():
    (gradient,) = graded("exp", lambda grad: grad * 2).gradients
    c = gradient.first_wrong
    assert gradient.findings[0] == f"first wrong entry: dx[0] = {c.theirs[0]:.6g}, expected {c.ours[0]:.6g}"
    by_forward, by_gradient = (float(text.split()[-1]) for text in gradient.findings[1].split(";"))
    assert by_gradient == pytest.approx(2 * by_forward, rel=1e-4)
    assert gradient.error == pytest.approx(max(abs(c.theirs - c.ours).max(), gradient.error))


def attempt_layer_norm(dy, x_hat, rstd, weight, mean=1, other=1, scale=True, weigh=True):
    batch = tuple(range(dy.ndim - 1))
    dx_hat = dy if weight is None or not weigh else dy * weight
    m1, m2 = dx_hat.mean(axis=-1, keepdims=True), (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = (dx_hat - mean * m1 - other * x_hat * m2) * (rstd if scale else 1.0)
    return dx, (dy * x_hat).sum(axis=batch), dy.sum(axis=batch)


LAYER_NORM = {
    "no means": ({"mean": 0, "other": 0}, "in each vector one number for all entries, and a multiple of x_hat"),
    "no first mean": ({"mean": 0}, "one number for all entries of a vector, as a sum or a mean makes it"),
    "no second mean": ({"other": 0}, "a term is missing or wrong: in each vector it is a multiple of x_hat"),
    "a wrong sign": ({"other": -1}, "a term is missing or wrong: in each vector it is a multiple of x_hat"),
    "no rstd": ({"scale": False}, "every entry lacks one factor, and the forward has saved it"),
}


@pytest.mark.parametrize("changes, expected", LAYER_NORM.values(), ids=LAYER_NORM)
def test_the_mistakes_of_layer_norm_are_seen(changes, expected):
    result = graded_as("layer_norm", lambda *saved: attempt_layer_norm(*saved, **changes))
    assert [gradient.verdict for gradient in result.gradients] == ["wrong", "exact", "exact"]
    assert expected in hints(result)["dx"] and LINES["layer_norm dx"] in hints(result)["dx"]


def test_what_the_wrong_examples_have_in_common_is_told():
    result = graded_as("layer_norm", lambda *saved: attempt_layer_norm(*saved, weigh=False))
    assert any(", wherever weight is given; first in layer_norm(x" in f for f in result.gradients[0].findings)


def scatter(dy, ids, weight_shape):
    dweight = np.zeros(weight_shape, dy.dtype)
    dweight[ids] += dy
    return None, dweight


def scatter_into_float64(dy, ids, weight_shape):
    dweight = np.zeros(weight_shape)
    np.add.at(dweight, ids, dy)
    return None, dweight


MISTAKES = {
    "sign": ("subtract", lambda dy, a, b: OPS["add"].backward(dy, a, b), {"db": "the sign is wrong, everywhere"}),
    "factor": ("multiply", lambda dy, a, b: tuple(2 * g for g in OPS["multiply"].backward(dy, a, b)),
               {"da": "it is 2 times what it should be", "db": "it is 2 times what it should be"}),
    "size": ("mean", lambda dy, *shape_and_axis: OPS["sum"].backward(dy, *shape_and_axis),
             {"dx": "it is right but for a number that the sizes or options decide (6"}),
    "zero": ("exp", lambda dy, y: dy * 0, {"dx": "it is 0 everywhere"}),
    "no dy": ("exp", lambda dy, y: y, {"dx": "the chain rule multiplies it by dy"}),
    "no y": ("exp", lambda dy, y: dy, {"dx": "every entry lacks one factor, and the forward has saved it"}),
    "no x": ("log", lambda dy, x: dy, {"dx": "every entry is x times what it should be"}),
    "order": ("layer_norm", lambda *saved: tuple(attempt_layer_norm(*saved)[i] for i in (0, 2, 1)),
              {"dweight": "this is dbias", "dbias": "this is dweight"}),
    "not summed": ("add", lambda dy, a, b: (dy, dy), {"da": "the sum over all uses, and that is all", "db": "the sum"}),
    "not spread": ("sum", lambda dy, shape, axis: dy, {"dx": "it is to be repeated for each of them"}),
    "not turned": ("transpose", lambda dy, a, b: dy, {"dx": "in another arrangement"}),
    "+= for add.at": ("embedding", scatter, {"dweight": "only what is picked more than once is wrong"}),
    "no mask": ("relu", lambda dy, y: dy, {"dx": "only entries that should be 0 are wrong"}),
    "one side": ("abs", lambda dy, x: dy, {"dx": "only entries where x is negative are wrong"}),
    "a term": ("softmax", lambda dy, p, axis: dy * p, {"dx": "in each vector it is a multiple of p; every p depends"}),
}  # fmt: skip


@pytest.mark.parametrize("name, backward, expected", MISTAKES.values(), ids=MISTAKES)
def test_a_hint_names_the_kind_of_mistake(name, backward, expected):
    said = hints(graded_as(name, backward))
    assert said.keys() == expected.keys()
    assert all(part in said[gradient] for gradient, part in expected.items()), said


PROBLEMS = {
    "too few": ("add", lambda dy, a, b: dy, "gave 1 gradients, and there are 2 arrays (a, b): return one for each"),
    "a list": ("exp", lambda dy, y: [dy * y], "the backward gave a list: return a tuple"),
    "nothing": ("exp", lambda dy, y: None, "exp_backward returned nothing: its last line must return the gradients"),
    "writing": ("exp", lambda dy, y: np.multiply(dy, y, out=dy), "is not its own to write into: make a new array"),
    "other parameters": ("exp", lambda dy: dy, "takes 1 positional argument but 2 were given"),
    "the wrong one by needs": ("linear", lambda dy, x, w, needs=(1, 1, 1): OPS["linear"].backward(
        dy, x, w, (needs[0], needs[2], needs[1])), "gives another dweight where needs asks for it alone"),
}  # fmt: skip


@pytest.mark.parametrize("name, backward, problem", PROBLEMS.values(), ids=PROBLEMS)
def test_what_cannot_be_graded_is_told(name, backward, problem):
    backward.__name__ = f"{name}_backward"
    result = graded_as(name, backward)
    assert not result.right and problem in result.problem
    assert f"in {name}(" in result.problem


FINDINGS = {
    "one of integers": ("embedding", lambda *s: (s[1], OPS["embedding"].backward(*s)[1]), "it must be None: ids holds"),
    "float64": ("embedding", scatter_into_float64, "it is float64 where all arrays are float32: zeros(shape)"),
    "a missing one": ("add", lambda dy, a, b: (OPS["add"].backward(dy, a, b)[0], None), "it is None; b has a gradient"),
}


@pytest.mark.parametrize("name, backward, finding", FINDINGS.values(), ids=FINDINGS)
def test_shape_dtype_and_none_are_checked(name, backward, finding):
    result = graded_as(name, backward)
    assert not result.right
    (wrong,) = (gradient for gradient in result.gradients if gradient.verdict == "wrong")
    assert wrong.findings[0].startswith(finding) and math.isnan(wrong.error)


def test_an_exception_on_some_examples_leaves_the_others_graded():
    result = graded_as("matmul", lambda dy, a, b: (dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy))
    assert result.problem.startswith("fails on ") and result.gradients[0].verdict == "exact"


def test_a_changed_forward_is_told():
    op = OPS["exp"]
    result = grade(Op(lambda x: (np.exp(x) + 1, (x,)), op.backward, ()), op, "mine.py")
    assert "exp_forward is not tinyllm's any more" in result.problem


def test_not_written_yet():
    def exp_backward(dy, y):
        raise NotImplementedError("write the backward")

    with pytest.raises(ValueError, match="exp_backward is not written yet"):
        graded_as("exp", exp_backward)


def test_every_op_is_listed_once_from_easy_to_hard():
    listed = [op.__name__ for ops in levels().values() for op in ops]
    assert sorted(listed) == sorted(OPS) and len(listed) == len(set(listed))
    assert listed[0] == "negative" and listed.index("add") < listed.index("layer_norm")


def test_lines_are_of_gradients_there_are():
    for gradient in LINES:
        name, grad = gradient.split()
        assert grad.removeprefix("d") in OPS[name].names


@pytest.mark.parametrize("typed, meant", [("layernorm", "layer_norm"), ("gelu", "gelu_erf or gelu_tanh"),
                                          ("attention", "causal_attention"), ("sofmax", "softmax")])  # fmt: skip
def test_a_near_name_is_suggested(typed, meant):
    with pytest.raises(ValueError, match=rf"no op is called '{typed}'; did you mean {meant}.*`tinyllm exercise` lists"):
        find_op(typed)
