"""What an op may be called with: tensors, arrays, lists and numbers, in one float dtype."""

import numpy as np

from .backend import array_module, is_float
from .tensor import Tensor

NUMBERS = (bool, int, float, np.generic)


def tensors_of(op, inputs, options):
    """The arrays of a call as Tensors (None where an optional one is missing), and their one float dtype.

    Numbers and integers take that dtype; two different ones are refused, for the wider would spread in silence.
    Arrays that were given by name are taken out of `options`, and options that were given by place put in.
    """
    if (dtype := plain_dtype(op, inputs, options)) is not None:
        return inputs, dtype
    inputs, names = list(inputs), list(op.names)
    if not op.variadic:
        inputs, placed = inputs[: len(names)], inputs[len(names) :]
        if len(placed) > len(op.options) or set(options) & set(op.options[: len(placed)]):
            raise TypeError(f"{op.__name__}{op.__signature__}: got {len(inputs) + len(placed)} arguments by place"
                            + (f" and {', '.join(options)} by name" if options else ""))
        options.update(zip(op.options, placed))
    for name in names[len(inputs) :]:
        if name not in options and name not in op.optional:
            raise TypeError(f"{op.__name__}{op.__signature__}: {name} is missing")
        inputs.append(options.pop(name, None))
    if op.variadic:
        names += names[-1:] * (len(inputs) - len(names))
    if unknown := set(options) - set(op.options):
        hint = "; torch's dim and keepdim are axis and keepdims here" if unknown & {"dim", "keepdim"} else ""
        raise TypeError(f"{op.__name__} has no option {', '.join(sorted(unknown))}: {op.__signature__}{hint}")
    inputs = [x if x is None or isinstance(x, (Tensor, *NUMBERS)) else Tensor(x) for x in inputs]
    tensors = [(name, x) for name, x in zip(names, inputs) if isinstance(x, Tensor)]
    floats = {x.dtype for name, x in tensors if is_float(x.dtype) and name not in op.discrete}
    if len(floats) > 1:
        raise TypeError(f"{op.__name__} got {' and '.join(sorted(map(str, floats)))}: "
                        "bring them to one dtype, as with x.to('float64')")
    dtype = next(iter(floats), None)
    modules = {array_module(x.data) for _, x in tensors}
    if len(modules) > 1:
        raise TypeError(f"{op.__name__} got {' and '.join(sorted(m.__name__ for m in modules))} arrays: "
                        "bring them to one backend, as with x.to('cupy')")
    xp = next(iter(modules), np)
    if dtype is None:  # integers alone: a number among them is as wide as they are
        numbers = [x for x in inputs if isinstance(x, NUMBERS)]
        number_dtype = np.result_type(*(x.dtype for name, x in tensors if name not in op.discrete), *numbers)
    return tuple(
        x if x is None else _fitted(op, name, x, dtype, dtype or number_dtype, xp) for name, x in zip(names, inputs)
    ), dtype


def plain_dtype(op, inputs, options):
    """The dtype of the mostly met call, which needs nothing of what follows: numpy's floats alone, all of one dtype.

    None for any other call. It makes small ops, of which a generated token needs hundreds, half as long.
    """
    if len(inputs) != len(op.names) or op.variadic or op.discrete or not options.keys() <= op.option_names:
        return None
    dtypes = {
        x.dtype if isinstance(x, Tensor) and type(x.data) is np.ndarray else None
        for name, x in zip(op.names, inputs)
        if x is not None or name not in op.optional
    }
    dtype = dtypes.pop()
    return dtype if not dtypes and dtype is not None and dtype.kind == "f" else None


def _fitted(op, name, x, dtype, number_dtype, xp):
    """One input as a Tensor: a number becomes a 0-d array of xp, and integers that meet floats become floats."""
    if isinstance(x, NUMBERS):
        return Tensor(xp.full((), x, number_dtype))
    if name in op.discrete:
        if is_float(x.dtype):
            raise TypeError(f"{op.__name__}: {name} must be integers or booleans, not {x.dtype}")
        return x
    return x if dtype in (None, x.dtype) else Tensor(x.data.astype(dtype))


def as_floats(op, tensors):
    """The same inputs with every array that need not be integers as float32."""
    names = op.names * len(tensors) if op.variadic else op.names
    return [t if t is None or n in op.discrete else Tensor(t, dtype=np.float32) for n, t in zip(names, tensors)]


def describe(op, tensors, options):
    """How an op was called, for an error: `layer_norm((4, 8, 256) float32, (256,) float32, eps=1e-05)`."""
    arrays = ["None" if t is None else f"{t.shape} {t.dtype}" for t in tensors]
    return f"{op.__name__}({', '.join(arrays + [f'{name}={value!r}' for name, value in options.items()])})"
