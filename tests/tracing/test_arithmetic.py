"""The terms of a cell sum to its number, for every op, forward where a sum is written and backward always."""

import numpy as np
import pytest

from tests.tracing.recordings import record, record_every_op
from tinyllm.tracing.arithmetic import FORWARD, MOVED, equation
from tinyllm.tracing.walk import Walk

RECORDINGS = {"a step": record()[0], "every op": record_every_op(), "dropout": record(n_layer=1, dropout=0.3)[0]}


def cells(array, rng):
    """Some indices of an array: the first, the last, and three others."""
    chosen = {0, array.size - 1, *rng.integers(0, array.size, 3).tolist()} if array.size else ()
    return [tuple(map(int, np.unravel_index(i, array.shape))) for i in chosen]


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_terms_of_a_cell_sum_to_it(name):
    walk, rng, seen = Walk(RECORDINGS[name]), np.random.default_rng(0), set()
    for stop in walk.stops:
        made = stop.step.share if stop.phase == "backward" else stop.step.after
        for index in cells(np.asarray(made), rng) if made is not None else ():
            found = equation(walk, stop, index)
            if found is None:
                continue
            seen.add((stop.phase == "backward", stop.step.call.op.__name__ if stop.step.call else stop.phase))
            size = sum(abs(term.number) for term in found.terms)
            assert found.number == pytest.approx(float(np.asarray(made)[index]), rel=2e-4, abs=2e-5 * size + 1e-7), (
                walk.title(stop), index)  # fmt: skip
    ran = {call.op.__name__ for call in walk.trace.calls}
    unlike_the_models = {"cross_entropy", "matmul"} if name == "every op" else set()  # none of a vector, no mean
    assert ran & {*FORWARD, *MOVED} - unlike_the_models <= {op for back, op in seen if not back}
    backward = {stop.step.call.op.__name__ for stop in walk.stops if stop.phase == "backward"}
    assert {op for back, op in seen if back} >= backward - {"max"}  # whose example is a kink everywhere


def test_the_largest_term_says_where_its_number_came_from():
    walk = Walk(RECORDINGS["a step"])
    for stop in walk.stops:
        if stop.phase in ("forward", "backward"):
            made = np.asarray(stop.step.share if stop.phase == "backward" else stop.step.after)
            found = equation(walk, stop, (0,) * made.ndim)
            value, index, gradient = found.largest.source if found and found.terms else (None, None, None)
            if value is not None and not gradient and stop.step.call.op.__name__ not in ("causal_attention",):
                assert value in stop.step.call.inputs and value.array[index] is not None
