"""Tensors from nothing, from lists and from arrays, as torch makes them: float32 unless told otherwise."""

import numpy as np

from .backend import array_module
from .methods import Tensor
from .random import generator
from .tensor import as_array, as_shape


def tensor(data, dtype=None, requires_grad=False):
    """A copy of data (numbers, nested lists, an array); lists of fractions become float32, arrays keep their dtype."""
    like = Tensor(data, dtype=dtype)
    return Tensor(like.data.copy(), requires_grad)


def from_numpy(array):
    """A tensor on the memory of a numpy array: what is written to the array shows in the tensor."""
    return Tensor(array)


def zeros(*shape, dtype="float32", requires_grad=False):
    return Tensor(np.zeros(as_shape(shape), dtype), requires_grad)


def ones(*shape, dtype="float32", requires_grad=False):
    return Tensor(np.ones(as_shape(shape), dtype), requires_grad)


def full(shape, value, dtype=None, requires_grad=False):
    """`value` everywhere; its own kind (float32, int64, bool) unless a dtype is given."""
    return Tensor(np.full(shape, as_array(value, dtype)), requires_grad)


def eye(n, m=None, dtype="float32", requires_grad=False):
    return Tensor(np.eye(n, m, dtype=dtype), requires_grad)


def arange(start, end=None, step=1, dtype=None, requires_grad=False):
    """start, start + step, … below end; arange(n) counts from 0. Integers give int64, fractions float32."""
    start, end = (0, start) if end is None else (start, end)
    values = np.arange(start, end, step)
    return Tensor(values, requires_grad, dtype or ("float32" if values.dtype == np.float64 else None))


def rand(*shape, dtype="float32", requires_grad=False):
    """Uniform in [0, 1), from the generator that `manual_seed` seeds."""
    return Tensor(generator().random(as_shape(shape), dtype), requires_grad)


def randn(*shape, dtype="float32", requires_grad=False):
    """Normal with mean 0 and variance 1, from the generator that `manual_seed` seeds."""
    return Tensor(generator().standard_normal(as_shape(shape)).astype(dtype), requires_grad)


def zeros_like(x):
    return Tensor(array_module(x.data).zeros_like(x.data))


def ones_like(x):
    return Tensor(array_module(x.data).ones_like(x.data))
