"""Every barrier is needed: without it the check of its kernel fails.

tests/cuda/test_SUBJECT.py has `check(cupy)` for SUBJECT.cu, which raises where a kernel is wrong: sizes that need
several warps and rounds, in several orders of threads (each launch has another), in a second or so.
By default one barrier of each subject is left out; `-m exhaustive` leaves out each.
"""

import importlib

import pytest

from tests.cuda.shim import ShimError, compiler
from tests.cuda.subjects import SUBJECTS, barriers, without_barrier
from tests.fake_cupy import stand_in

pytestmark = pytest.mark.skipif(not compiler(), reason="no g++ here: no kernel can run on the CPU")
CHECKED = [subject for subject in ("common", *SUBJECTS) if barriers(subject)]


def places():
    for subject in CHECKED:
        for i, place in enumerate(barriers(subject)):
            yield pytest.param(subject, place, id=place, marks=[pytest.mark.exhaustive] * (i > 0))


def check(subject):
    with stand_in() as cupy:
        importlib.import_module(f"tests.cuda.test_{subject}").check(cupy)


@pytest.mark.parametrize("subject", CHECKED)
def test_there_is_a_check_and_it_passes(subject):
    check(subject)


@pytest.mark.parametrize("subject, place", list(places()))
def test_a_barrier_that_is_not_there_is_missed(subject, place):
    with without_barrier(subject, place), pytest.raises((AssertionError, ShimError)):
        check(subject)
