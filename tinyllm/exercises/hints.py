"""What the numbers say about a wrong gradient: read off, on every example, from theirs, ours and what was at hand.

A hint is a kind of mistake, not the formula. Each function below takes the wrong comparisons of one gradient and says
what they have in common, or nothing. The first that has something to say is heard.
"""

import numpy as np

from ..ops.arithmetic import unbroadcast
from .relations import SAME, broadcasts, factor, in_span, is_product, same, turned


def hint(wrong):
    """One sentence for the wrong comparisons of a gradient, or ""."""
    if wrong[0].misfit:
        misfits = [c for c in wrong if c.theirs is not None and c.ours is not None and c.theirs.shape != c.ours.shape]
        return _first_said(SHAPE_HINTS, misfits) or _first_said(SHAPE_HINTS, misfits[:1])
    telling = [c for c in wrong if not c.misfit and np.isfinite(c.theirs).all()]
    return _first_said(VALUE_HINTS, [c for c in telling if c.ours.size > 1])  # one number is a multiple of any other


def _first_said(hints, cs):
    return next(filter(None, (say(cs) for say in hints)), "") if cs else ""


# The shape is another one -------------------------------------------------------------------------------------------


def not_summed(cs):
    if all(broadcasts(c.ours.shape, c.theirs.shape) for c in cs):
        right = all(same(unbroadcast(c.theirs, c.ours.shape), c.ours) for c in cs)
        more = ", and that is all that is missing" if right else ""
        return f"each of its numbers was used several times: its gradient is the sum over all uses{more}"


def not_spread(cs):
    if all(broadcasts(c.theirs.shape, c.ours.shape) for c in cs):
        return "many entries share one gradient here: it is to be repeated for each of them"


def turned_shape(cs):
    if all(turned(c.theirs).shape == c.ours.shape for c in cs):
        return "its last two axes are exchanged"


def reshaped(cs):
    if all(c.theirs.size == c.ours.size for c in cs):
        return "it has as many entries as it should, in another arrangement"


# The shape is right, the numbers are not ----------------------------------------------------------------------------


def zero(cs):
    if not any(c.theirs.any() for c in cs):
        return "it is 0 everywhere"


def one_factor(cs):
    factors = [factor(c.theirs, c.ours) for c in cs]
    if None in factors:
        return None
    if np.ptp(factors) > SAME * max(map(abs, factors)):
        seen = ", ".join(list(dict.fromkeys(f"{c:.4g}" for c in factors))[:3])
        return f"it is right but for a number that the sizes or options decide ({seen}, … times what it should be)"
    if np.isclose(factors[0], -1):
        return "the sign is wrong, everywhere"
    return f"it is {factors[0]:.6g} times what it should be, everywhere"


def another_one(cs):
    for name in cs[0].rights:
        if all(c.rights.get(name) is not None and same(c.theirs, c.rights[name]) for c in cs):
            return f"this is {name}: are the gradients returned in the order of the arrays?"


def transposed(cs):
    if all(same(turned(c.theirs), c.ours) for c in cs):
        return "its last two axes are exchanged"


def without_dy(cs):
    if all(is_product(c.ours, c.theirs, c.dy) for c in cs):
        return "it is the derivative of the output alone: the chain rule multiplies it by dy"


def a_factor(cs):
    for name in cs[0].saved:
        if all(is_product(c.ours, c.theirs, c.saved.get(name)) for c in cs):
            return "every entry lacks one factor, and the forward has saved it"
    for name in _at_hand(cs[0]):
        if all(is_product(c.theirs, c.ours, _at_hand(c).get(name)) for c in cs):
            return f"every entry is {name} times what it should be"


def a_factor_of_each_vector(cs):
    if _all_in_span(cs, lambda c: c.theirs, lambda c: [c.ours]):
        return "each vector is right but for a factor of its own"


def picked_twice(cs):
    counts = [_times_picked(c) for c in cs]
    if all(n is not None and (n[c.wrong_entries] > 1).all() for n, c in zip(counts, cs)):
        return "only what is picked more than once is wrong: `a[index] += b` adds once a place, np.add.at each time"


def should_be_zero(cs):
    if not any((c.ours * c.wrong_entries).any() for c in cs):
        return "only entries that should be 0 are wrong: which inputs did not reach the output?"


def only_where(cs):
    for name in _at_hand(cs[0]):
        for what, where in SIGNS.items():
            if all(_is_wrong_only(c, _at_hand(c).get(name), where) for c in cs):
                return f"only entries where {name} is {what} are wrong"


def one_term(cs):
    if _all_in_span(cs, _lacking, lambda c: [np.ones_like(c.ours)]):
        return "a term is missing or wrong: one number for all entries of a vector, as a sum or a mean makes it"
    for name in _at_hand(cs[0]):
        if _all_in_span(cs, _lacking, lambda c: [_at_hand(c).get(name)]):
            return f"a term is missing or wrong: in each vector it is a multiple of {name}"


def two_terms(cs):
    for name in _at_hand(cs[0]):
        if _all_in_span(cs, _lacking, lambda c: [np.ones_like(c.ours), _at_hand(c).get(name)]):
            return f"terms are missing or wrong: in each vector one number for all entries, and a multiple of {name}"


SHAPE_HINTS = (not_summed, not_spread, turned_shape, reshaped)
VALUE_HINTS = (zero, one_factor, another_one, transposed, without_dy, a_factor, a_factor_of_each_vector, picked_twice,
               should_be_zero, only_where, one_term, two_terms)  # fmt: skip
SIGNS = {
    "negative": lambda a: a < 0 if a.dtype.kind == "f" else None,
    "positive": lambda a: a > 0 if a.dtype.kind == "f" else None,
    "True": lambda a: a if a.dtype.kind == "b" else None,
    "False": lambda a: ~a if a.dtype.kind == "b" else None,
}


def _lacking(c):
    return c.ours - c.theirs


def _at_hand(c):
    """{name: array} of what a backward may be written with."""
    names = c.saved | {"dy": c.dy}
    return {name: value for name, value in names.items() if isinstance(value, np.ndarray) and value.ndim}


def _all_in_span(cs, of, basis):
    longer = [c for c in cs if max(c.ours.shape) > len(basis(c))]  # two numbers are a sum of any two vectors
    return bool(longer) and all(in_span(of(c), basis(c)) for c in longer)


def _times_picked(c):
    """How often each entry of the array was picked by integers; None where there are none."""
    indices = [x for x in c.example.inputs if x is not None and x.dtype.kind == "i"]
    indices += [c.example.options["index"]] if "index" in c.example.options else []
    if not indices:
        return None
    counts = np.zeros(c.ours.shape, int)
    np.add.at(counts, indices[0], 1)
    return counts


def _is_wrong_only(c, a, where):
    holds = where(a) if a is not None and a.shape == c.ours.shape else None
    return holds is not None and not c.wrong_entries[~holds].any() and not holds.all()
