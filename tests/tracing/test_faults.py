"""A fault in any one backward turns steps of that op red, and no others."""

import warnings

import numpy as np
import pytest

from tests import mutation
from tests.tracing.recordings import OPS, record, record_examples
from tinyllm.tracing.checks import check_steps
from tinyllm.tracing.page import to_html

NEIGHBOURS = ("add", "exp", "linear", "sum")  # whose steps stay right


def red_steps(recording):
    return {i for i, found in check_steps(recording).items() if not all(check.ok for check in found.values())}


def red_with(mutant, make):
    """The recording made with a broken backward and its red steps; None where the engine does not even go through."""
    with mutation.in_place(mutant), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            recording = make()
        except Exception:
            return None
        return recording, red_steps(recording[0] if isinstance(recording, tuple) else recording)


def hunt(name, mutants, count):
    """Of the mutants those that turn nothing red; a red step of another op is an error."""
    survivors = []
    for mutant in mutants:
        found = red_with(mutant, lambda: record_examples({name, *NEIGHBOURS}, count))
        if found is None:
            continue
        recording, red = found
        assert {recording.steps[i].call.op.__name__ for i in red} <= {name}, mutation.described(mutant, None)
        if not red:
            survivors.append(mutant)
    return survivors


def mutants_of(name):
    return [m for m in mutation.mutants(OPS[name].backward) if (name, m.mutated) not in mutation.EQUIVALENT]


# (op, mutated line): why no step can show it
INVISIBLE = {
    ("binary_cross_entropy", "dp = (p - target) / (p * (1 - p)) * dy / n"): "only at p = 0 or 1, where no slope is",
    ("linear", "if needs[1]:"): "which gradients are left out when somebody needs fewer",
    ("matmul", "if needs[1]:"): "the same",
    ("power", "if needs[1]:"): "the same",
    ("linear_cross_entropy", "dx = dlogits @ weight"): "the same",
    ("linear_cross_entropy", "dx = dlogits @ weight if needs[1] else None"): "the same",
    ("linear_cross_entropy", "dweight = dlogits.T @ x"): "the same",
}


@pytest.mark.parametrize("name", sorted(OPS))
def test_a_fault_in_one_backward_turns_its_steps_red_and_no_others(name):
    mutants = [mutant for mutant in mutants_of(name) if (name, mutant.mutated) not in INVISIBLE]
    chosen = mutants[:: max(1, len(mutants) // 3)][:3]
    survivors = hunt(name, chosen, 6)
    assert chosen and not hunt(name, survivors, 60)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(OPS))
def test_every_fault_is_seen(name):
    survivors = hunt(name, hunt(name, mutants_of(name), 6), 60)
    assert {(name, mutant.mutated) for mutant in survivors} == {key for key in INVISIBLE if key[0] == name}


LOOKED_AT = ["add", "layer_norm", "linear", "embedding", "causal_attention", "gelu_tanh", "cross_entropy"]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_the_page_offers_the_first_wrong_step_as_a_link(open_page, name):
    made = (red_with(mutant, lambda: record(n_layer=1)) for mutant in mutants_of(name))
    (recording, _), red = next(found for found in made if found and found[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = open_page(to_html(recording))
    wrong = '() => document.querySelectorAll("#checks .wrong").length > 0'
    seen = opened.at_each(range(len(recording.steps)), wrong)
    assert {i for i, is_wrong in enumerate(seen) if is_wrong} == red
    assert {recording.steps[i].call.op.__name__ for i in red} == {name}
    opened.press("Home")
    assert opened.text("#wrong") == f"✗ first wrong step: {min(red)}, {name}"
    opened.tab.click("#wrong")
    assert opened.step == min(red)
