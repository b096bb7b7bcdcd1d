"""A backward that somebody wrote, held against tinyllm's own and against finite differences."""

import math
import traceback
from dataclasses import dataclass

import numpy as np

from ..checking import array_names, called, examples, told
from .comparison import Comparison, compare, finite_difference
from .hints import hint
from .levels import LINES


@dataclass(frozen=True)
class GradientGrade:
    """verdict: "exact" (tinyllm's own bits on every example), "close" (but for rounding) or "wrong".

    error: the largest difference of an entry (nan where the shapes differ). findings: what is wrong, in words.
    first_wrong: the comparison to look at, None where all are right.
    """

    name: str
    verdict: str
    error: float
    findings: tuple[str, ...] = ()
    first_wrong: Comparison | None = None


@dataclass(frozen=True)
class Grade:
    """gradients: one grade an array, from the examples on which it ran; problem: the first exception, or ""."""

    op: str
    examples: int
    gradients: tuple[GradientGrade, ...] = ()
    problem: str = ""

    @property
    def right(self):
        return not self.problem and all(gradient.verdict != "wrong" for gradient in self.gradients)

    @property
    def first_wrong(self):
        return next((gradient.first_wrong for gradient in self.gradients if gradient.first_wrong), None)


def grade(theirs, ours, path):
    """Grade an op, read from the file at `path`, by tinyllm's of that name."""
    tried = examples(ours)
    by_gradient, problems = {}, []
    for example in tried:
        try:
            comparisons = compare(theirs, ours, example)
        except NotImplementedError as error:
            raise ValueError(_unwritten(ours, error, path)) from error
        except Exception as error:  # of the user's code: it is what is wrong
            problems.append(f"{told(error, path)}\n{called(ours, example)}{_advice(error)}")
            continue
        for comparison in comparisons:
            by_gradient.setdefault(comparison.name, []).append(comparison)
    with np.errstate(all="ignore"):  # their numbers may be anything
        grades = tuple(_graded(ours, cs) for cs in by_gradient.values() if not all(c.is_none for c in cs))
    problem = f"fails on {len(problems)} of {len(tried)} examples; first:\n{problems[0]}" if problems else ""
    return Grade(ours.__name__, len(tried), grades, problem)


def _unwritten(op, error, path):
    line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), 1)
    return (f"{op.__name__}_backward is not written yet: write it in {path}, in the place of line {line}, "
            "and check it again")  # fmt: skip


def _advice(error):
    """numpy refuses what writes into the arrays that the backward was given."""
    if "read-only" not in str(error):
        return ""
    return "\nwhat a backward is given is not its own to write into: make a new array, or take a .copy()"


def _graded(op, comparisons):
    """The grade of one gradient, from its comparisons on all examples."""
    name = comparisons[0].name
    wrong = [comparison for comparison in comparisons if not comparison.is_right]
    if wrong:
        return GradientGrade(name, "wrong", *_findings(op, wrong, comparisons), wrong[0])
    error = max(comparison.error for comparison in comparisons)
    exact = all(comparison.is_exact for comparison in comparisons)
    return GradientGrade(name, "exact" if exact else "close", error)


def _findings(op, wrong, comparisons):
    """The largest error, and what there is to say."""
    first, where, seen = wrong[0], _where(op, wrong, comparisons), hint(wrong)
    seen = [f"hint: {seen}"] if seen else []
    if first.misfit:
        return math.nan, (first.misfit, where, *seen)
    told_of_op = [f"hint: {line}" for line in [LINES.get(f"{op.__name__} {first.name}")] if line]
    error = max(comparison.error for comparison in wrong if not comparison.misfit)
    return error, (*_compared(op, first), where, *seen, *told_of_op)


def _compared(op, comparison):
    at = comparison.first_wrong
    place = comparison.name + (f"[{', '.join(map(str, at))}]" if at else "")
    by_forward, by_gradient = finite_difference(op, comparison)
    return [
        f"first wrong entry: {place} = {comparison.theirs[at]:.6g}, expected {comparison.ours[at] + 0.0:.6g}",
        f"finite differences: along a random direction the loss changes by {by_forward:.6g}; this gradient says "
        f"{by_gradient:.6g}",
    ]


def _where(op, wrong, comparisons):
    """On which examples it is wrong: what they have in common and the others have not, and the first of them."""
    first = called(op, wrong[0].example)
    if len(wrong) == len(comparisons):
        return f"wrong on every example, first {first}"
    of_wrong = [_traits(op, comparison.example) for comparison in wrong]
    of_right = [_traits(op, comparison.example) for comparison in comparisons if comparison.is_right]
    special = set.intersection(*of_wrong) - set.union(*of_right)
    common = f", wherever {' and '.join(sorted(special))}" if special and len(wrong) > 1 else ""
    return f"wrong on {len(wrong)} of {len(comparisons)} examples{common}; first {first}"


def _traits(op, example):
    """What is special about an example, in words."""
    inputs = dict(zip(array_names(op, example), example.inputs))
    traits = {f"{name} is {'left out' if x is None else 'given'}" for name, x in inputs.items() if name in op.optional}
    return traits | {f"{name}={value!r}" for name, value in example.options.items()}
