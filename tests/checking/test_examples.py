"""Every op has inputs to be tried on, and its own shape line is where they come from."""

import numpy as np
import pytest

from tinyllm.autograd import Op
from tinyllm.checking import check_op, examples, tinyllm_ops
from tinyllm.checking.cases import CASES
from tinyllm.checking.shape_line import arrays, shape_line

OPS = tinyllm_ops()
every_op = pytest.mark.parametrize("name", sorted(OPS))


def made(docstring, parameters="x", name="mine"):
    """An op whose forward has this docstring and these parameters."""
    space = {}
    exec(f"def {name}_forward({parameters}):\n    {docstring!r}\n    return x * 1.0, ()", space)
    return Op(space[f"{name}_forward"], lambda dy: dy, ())


@every_op
def test_an_op_is_right_on_its_examples(name):
    result = check_op(OPS[name], examples(OPS[name]))
    assert result.ok, result.problem
    assert result.error < 1e-7


@every_op
def test_the_same_seed_gives_the_same_examples_and_another_one_others(name):
    first, again, other = (examples(OPS[name], seed) for seed in (0, 0, 1))
    assert all(same(a, b) for a, b in zip(first, again))
    assert not all(same(a, b) for a, b in zip(first, other))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.inputs, b.inputs) if x is not None and y is not None)


@every_op
def test_no_two_numbers_of_an_array_are_near_and_none_is_near_0(name):
    for example in examples(OPS[name]):
        for x in example.inputs:
            if x is not None and x.dtype.kind == "f":
                sizes = np.sort(np.abs(x), axis=None)
                assert sizes[0] > 0.05 and (np.diff(sizes) > 1e-3).all()


def test_nor_do_two_arrays_tie():
    for example in examples(OPS["maximum"]):
        a, b = example.inputs
        assert (abs(a - b) > 1e-3).all()


@every_op
def test_every_optional_array_is_left_out_at_times(name):
    op = OPS[name]
    for i, array in enumerate(op.names):
        seen = {example.inputs[i] is None for example in examples(op)}
        assert seen == ({True, False} if array in op.optional else {False})


def test_arrays_are_broadcast_in_both_directions():
    shapes = {tuple(x.shape for x in example.inputs) for example in examples(OPS["add"])}
    assert any(len(a) < len(b) for a, b in shapes) and any(len(b) < len(a) for a, b in shapes)


def test_every_case_is_of_an_op_and_all_of_it_is_used():
    assert set(CASES) <= set(OPS)
    for name, cases in CASES.items():
        assert len(cases) <= len(examples(OPS[name]))
        for line, options in cases:
            names = [array.name for array in arrays(line) or shape_line(OPS[name].__doc__)[0]]
            assert names == list(OPS[name].names) and set(options) <= set(OPS[name].options)


def test_a_shape_line_is_read():
    (ids, x), (y,) = shape_line("f\n\n    ids (N, 2) integers x (..., 3C) -> y (..., N)\n")
    assert (ids.name, ids.axes, ids.kind) == ("ids", ("N", "2"), "integers")
    assert x.shape({"C": 4}, (5, 6)) == (5, 6, 12)
    assert [array.brackets() for array in (ids, x, y)] == ["(N, 2) integers", "(..., 3C)", "(..., N)"]
    assert shape_line("no arrow") is None and shape_line(None) is None and shape_line("f: a -> b") is None


def test_words_of_a_shape_line_say_what_an_array_holds():
    line = "x (N,)  n (N,) integers  keep (N,) bool  a (N,) positive  p (N,) probabilities  ->  y (N,)"
    x, n, keep, a, p = examples(made(line, "x, n, keep, a, p"))[0].inputs
    assert (x < 0).any() and n.dtype.kind == "i" and n.max() < len(n) and keep.dtype == bool
    assert (a > 0).all() and a.max() > 1 and 0 < p.min() < p.max() < 1


MISTAKES = {
    "no shape line": (("the cube", "x"), "nothing says which inputs to try. Give the docstring of mine_forward"),
    "an option without a default": (("x (N,) -> y (N,)", "x, *, axis"), 'examples = {"mine": lambda rng'),
    "another name": (("a (N,) -> y (N,)", "x"), "mine: its shape line names a, its forward takes x"),
    "a strange axis": (("x (n,) -> y (n,)", "x"), "axis 'n' of x is none of: ..., a capital C"),
}


@pytest.mark.parametrize("op, message", MISTAKES.values(), ids=MISTAKES)
def test_where_inputs_cannot_be_derived_the_message_says_what_to_write(op, message):
    with pytest.raises(ValueError) as error:
        examples(made(*op))
    assert message in str(error.value)


def test_an_op_of_the_users_may_have_the_name_of_one_of_ours_and_other_options():
    assert examples(made("x (N,) -> y (N,)", name="softmax"))[0].options == {}


def test_examples_of_ones_own():
    op = made("the cube", "x, *, axis=0")
    inputs, options = (x := np.ones(3)), {"axis": 1}
    assert examples(op, own=lambda rng: (inputs, options))[0].options == options
    assert examples(op, own=lambda rng: (x,))[0].inputs[0] is x
    with pytest.raises(ValueError, match=r"must give a tuple of arrays, \(x,\) for one, not array"):
        examples(op, own=lambda rng: x)
