"""One harness over every op: torch, finite differences, the definition, the contract, the docstring."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyllm.ops  # noqa: F401  (fills OPS)
from tests import definitions
from tests.op_cases import MAKERS, HypothesisChooser, examples
from tests.op_checks import assert_same_run, check_contract, check_needs, check_numeric, check_torch, run
from tests.shape_line import COMMON, check_shape_line
from tinyllm.autograd import OPS

every_op = pytest.mark.parametrize("name", sorted(OPS))


def cases(name):
    return st.composite(lambda draw: MAKERS[name](HypothesisChooser(draw, st)))()


def test_every_op_has_cases_and_is_defined_or_primitive():
    assert set(MAKERS) == set(OPS)
    assert {name for name in OPS if hasattr(definitions, name)} == set(OPS) - definitions.PRIMITIVES


@every_op
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equals_torch(name, dtype):
    settings(max_examples=50)(given(cases(name))(lambda case: check_torch(name, case, dtype)))()


@every_op
def test_equals_finite_differences(name):
    settings(max_examples=30)(given(cases(name))(lambda case: check_numeric(name, case)))()


@pytest.mark.parametrize("name", sorted(set(OPS) - definitions.PRIMITIVES))
def test_equals_its_definition(name):
    def check(case):
        assert_same_run(f"{name} definition", run(OPS[name], case), run(getattr(definitions, name), case), 1e-11)

    settings(max_examples=30)(given(cases(name))(check))()


@every_op
def test_keeps_the_contract(name):
    settings(max_examples=50)(given(cases(name))(lambda case: check_contract(name, case)))()


@pytest.mark.parametrize("name", sorted(name for name in OPS if "needs" in OPS[name].asks))
def test_needs_leaves_out_only_what_nobody_needs(name):
    for case in examples(name, 20):
        check_needs(name, case)


@every_op
def test_the_shape_line_of_its_docstring_is_true(name):
    common = [case for case in examples(name, 200) if COMMON.get(name, lambda case: True)(case)]
    assert common
    for case in common:
        check_shape_line(OPS[name], case)
