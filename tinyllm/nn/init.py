"""Initial weights, drawn from `random.generator()` in float64 and kept in float32: the same on every backend."""

import numpy as np

from ..random import generator
from .module import Parameter


def normal(shape, std):
    """A parameter of N(0, std²)."""
    return Parameter((generator().standard_normal(shape) * std).astype(np.float32))


def uniform(shape, bound):
    """A parameter uniform in [−bound, bound)."""
    return Parameter(generator().uniform(-bound, bound, shape).astype(np.float32))


def constant(shape, value):
    """A parameter that is `value` everywhere."""
    return Parameter(np.full(shape, value, np.float32))
