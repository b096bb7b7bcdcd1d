"""What a Tensor can do: the ops as methods and operators, named as in torch.

Comparisons and argmax give tensors without a gradient. What would change a tensor that is part of a graph is refused.
"""

import numpy as np

from . import backend, display, ops
from .observe import MODE
from .tensor import Tensor, as_array, as_shape


def _raw(x):
    return x.data if isinstance(x, Tensor) else x


def _raw_index(index):
    return tuple(_raw(part) for part in index) if isinstance(index, tuple) else _raw(index)


def _no_gradient(name):
    """A method that calls the operator `name` of the arrays, for results that no gradient passes through."""

    def method(x, other):
        return Tensor(getattr(x.data, name)(_raw(other)))

    return method


def _check_in_place(x, value, text):
    """Changing numbers that a graph was built on is refused where torch refuses it."""
    recorded = MODE.get().recording and (x.requires_grad or getattr(value, "requires_grad", False))
    if recorded or x.node is not None:
        raise RuntimeError(f"{text} would change numbers that backward() needs; make a new tensor, as in x = x + y, "
                           "where() or cat(), or change a leaf inside `with no_grad():`")


def _in_place(operator, name):
    """A method for `x += y` and its like. x gets a new array: the old one may be saved for a backward."""

    def method(x, other):
        _check_in_place(x, other, f"x {operator}= y")
        data = as_array(getattr(x.data, name)(_raw(other)))
        if data.shape != x.shape or not np.can_cast(data.dtype, x.dtype, "same_kind"):
            raise TypeError(f"x {operator}= y would turn x from {x.shape} {x.dtype} into {data.shape} {data.dtype}; "
                            f"write x = x {operator} y")
        x.data = data.astype(x.dtype, copy=False)
        return x

    return method


class TensorMethods:
    __hash__ = object.__hash__  # a tensor is itself, whatever numbers it holds

    # arithmetic
    __add__, __sub__, __mul__, __truediv__ = ops.add, ops.subtract, ops.multiply, ops.divide
    __pow__, __matmul__, __neg__, __abs__ = ops.power, ops.matmul, ops.negative, ops.abs
    __radd__ = lambda x, y: ops.add(y, x)
    __rsub__ = lambda x, y: ops.subtract(y, x)
    __rmul__ = lambda x, y: ops.multiply(y, x)
    __rtruediv__ = lambda x, y: ops.divide(y, x)
    __rpow__ = lambda x, y: ops.power(y, x)
    __rmatmul__ = lambda x, y: ops.matmul(y, x)
    __iadd__, __isub__ = _in_place("+", "__add__"), _in_place("-", "__sub__")
    __imul__, __itruediv__ = _in_place("*", "__mul__"), _in_place("/", "__truediv__")
    add, sub, mul, div, pow, matmul = ops.add, ops.subtract, ops.multiply, ops.divide, ops.power, ops.matmul
    exp, log, sqrt, abs, neg = ops.exp, ops.log, ops.sqrt, ops.abs, ops.negative
    tanh, sigmoid, relu = ops.tanh, ops.sigmoid, ops.relu
    maximum = ops.maximum
    softmax, log_softmax = ops.softmax, ops.log_softmax
    clip = clamp = ops.clip

    # reductions
    sum, mean, max, var = ops.sum, ops.mean, ops.max, ops.var

    def argmax(x, axis=None):
        return Tensor(x.data.argmax(axis))

    # comparisons
    __lt__, __le__ = _no_gradient("__lt__"), _no_gradient("__le__")
    __gt__, __ge__ = _no_gradient("__gt__"), _no_gradient("__ge__")
    __eq__, __ne__ = _no_gradient("__eq__"), _no_gradient("__ne__")
    __and__, __or__ = _no_gradient("__and__"), _no_gradient("__or__")
    __invert__ = lambda x: Tensor(~x.data)

    # shape
    ndim = property(lambda x: x.data.ndim)
    T = property(lambda x: ops.permute(x, axes=tuple(range(x.ndim))[::-1]))
    transpose, squeeze, unsqueeze, split = ops.transpose, ops.squeeze, ops.unsqueeze, ops.split

    def reshape(x, *shape):
        return ops.reshape(x, shape=as_shape(shape))

    view = reshape

    def flatten(x):
        return ops.reshape(x, shape=(-1,))

    def permute(x, *axes):
        return ops.permute(x, axes=as_shape(axes))

    def broadcast_to(x, *shape):
        return ops.broadcast_to(x, shape=as_shape(shape))

    expand = broadcast_to

    def numel(x):
        return x.data.size

    def size(x, axis=None):
        return x.shape if axis is None else x.shape[axis]

    def __getitem__(x, index):
        return ops.getitem(x, index=_raw_index(index))

    def __setitem__(x, index, value):
        _check_in_place(x, value, "x[...] = y")
        if x.data.base is not None:
            raise RuntimeError("x[...] = y would change x and not the numbers it is a part of; write to the whole, "
                               "as in a[0, 1] = 5 and not a[0][1] = 5, or make x its own: x = tensor(x)")
        x.data = x.data.copy()
        x.data[_raw_index(index)] = _raw(value)

    # other dtypes, other places, plain Python
    def to(x, target):
        """x on a backend ("numpy", "cupy") or in a dtype ("float32", …): itself, or a new leaf with its own .grad."""
        if x.node is not None:
            raise RuntimeError("to() would cut this tensor off from what made it; move the leaves, or .detach() first")
        move = target in backend.BACKENDS
        data = backend.to(x.data, target) if move else x.data.astype(backend.dtype_of(target), copy=False)
        return x if data is x.data else Tensor(data, x.requires_grad and backend.is_float(data.dtype))

    def double(x):
        return x.to("float64")

    def float(x):
        return x.to("float32")

    def long(x):
        return x.to("int64")

    def tolist(x):
        return backend.to_numpy(x.data).tolist()

    def requires_grad_(x, requires_grad=True):
        """Say that a leaf wants (or no longer wants) a gradient."""
        if x.node is not None:
            raise RuntimeError("only a leaf can be told whether it requires a gradient; .detach() makes one")
        x.requires_grad = requires_grad
        return x

    __float__ = lambda x: float(x.item())
    __int__ = lambda x: int(x.item())

    def __bool__(x):
        if x.numel() != 1:
            raise ValueError(f"whether {x.shape} numbers are true is ambiguous; compare one of them, or reduce: .max()")
        return bool(x.item())

    def __len__(x):
        if not x.shape:
            raise TypeError("a 0-d tensor has no length")
        return x.shape[0]

    def __iter__(x):
        return (x[i] for i in range(len(x)))

    def __format__(x, spec):
        return format(x.item(), spec) if spec else str(x)

    __repr__, _repr_html_ = display.tensor_text, display.tensor_html


for _name, _method in vars(TensorMethods).items():
    if _name not in ("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__"):
        setattr(Tensor, _name, _method)
