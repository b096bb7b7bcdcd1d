"""Every op has its formulas, every gradient its formula and its reason, and all of them can be drawn."""

import numpy as np
import pytest

import tinyllm.ops  # noqa: F401  fills OPS
from tinyllm import Tensor
from tinyllm.autograd import Op
from tinyllm.checking import tinyllm_ops
from tinyllm.tracing import formulas, trace

OPS = tinyllm_ops()

pytest.importorskip("latex2mathml")


def test_no_op_is_without_formulas_and_no_formula_without_its_op():
    assert set(formulas.FORMULAS) == set(OPS)


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_gradient_has_its_formula_and_its_reason(name):
    op = OPS[name]
    backward = formulas.FORMULAS[name].backward
    assert set(backward) == set(op.names) - op.discrete
    for why in (formulas.FORMULAS[name].why, *(why for _, why in backward.values())):
        assert why.endswith(".") and 20 <= len(why) <= 170


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_slot_is_an_array_of_the_op(name):
    op = OPS[name]
    gradients = {f"d{x}" for x in (*op.names, "x", "y")}
    for tex in texts(name):
        assert set(formulas.slots(tex)) <= {*op.names, "y", *gradients} | ({"x", "xs"} if op.variadic else set())


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_formula_becomes_mathml(name):
    for tex in texts(name):
        for present in (OPS[name].names, [x for x in OPS[name].names if x not in OPS[name].optional]):
            mathml = formulas.mathml(formulas.present(tex, present))
            assert mathml.startswith("<math") and "merror" not in mathml and "\\" not in mathml and "&</" not in mathml


def texts(name):
    formula = formulas.FORMULAS[name]
    return [formula.forward, *(tex for tex, _ in formula.backward.values())]


def test_what_a_call_left_out_is_left_out_of_its_formula():
    forward = formulas.FORMULAS["linear"].forward
    assert formulas.present(forward, ["x", "weight", "bias"]) == r"<y> = <x>\;<weight> + <bias>"
    assert formulas.present(forward, ["x", "weight"]) == r"<y> = <x>\;<weight>"


def test_names_fill_the_slots():
    assert formulas.fill(r"<dx> = <dy>\,c", {"dx": "dln_1", "dy": "dqkv"}) == r"\text{dln\_1} = \text{dqkv}\,c"


def test_steps_that_are_no_ops_have_formulas_too():
    for tex, why in (formulas.SEED, formulas.CLIP, formulas.LOSS_AFTER, *formulas.UPDATES.values()):
        assert "merror" not in formulas.mathml(tex) and why.endswith(".")


def test_an_op_that_is_not_tinyllms_has_the_names_of_its_arrays():
    def cube_forward(x, weight=None):
        return x * x * x, (x,)

    def cube_backward(dy, x):
        return 3 * x * x * dy, None

    cube = Op(cube_forward, cube_backward, ())
    formula = formulas.formula_of(cube)
    assert formula.forward == r"<y> = \operatorname{cube}(<x>, <weight>)"
    assert formula.backward["weight"] == (r"<dweight> = \operatorname{cube}'(<dy>, \ldots)", "")
    with trace() as recording:
        cube(Tensor(np.ones(2), requires_grad=True)).sum().backward()
    assert "cube" in recording.to_html()
