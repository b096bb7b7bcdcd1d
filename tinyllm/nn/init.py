"""Initial weights, drawn from `random.generator()` in float64 and kept in float32: the same on every backend."""

from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from ..random import generator
from .module import Parameter

_skipped = ContextVar("tinyllm.init", default=False)


def normal(shape, std):
    """A parameter of N(0, std²)."""
    return _parameter(shape, lambda: generator().standard_normal(shape) * std)


def uniform(shape, bound):
    """A parameter uniform in [−bound, bound)."""
    return _parameter(shape, lambda: generator().uniform(-bound, bound, shape))


def constant(shape, value):
    """A parameter that is `value` everywhere."""
    return _parameter(shape, lambda: np.full(shape, value))


@contextmanager
def skipped():
    """Inside, nothing is drawn, for weights that are to be loaded: zeros, which take no memory until they are used."""
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def _parameter(shape, values):
    return Parameter(np.zeros(shape, np.float32) if _skipped.get() else values().astype(np.float32))
