"""The shape line of an op's docstring, held against the arrays that it takes and makes."""

import numpy as np

from tinyllm.checking.shape_line import AXIS, shape_line


def fit(axes, shape, known):
    """The axes of `shape` that `...` stands for; None where it is not what `axes` say.

    `known` says what the capitals stand for; it learns the new ones.
    """
    if "..." in axes:
        front, back = axes.index("..."), len(axes) - axes.index("...") - 1
        if len(shape) < front + back:
            return None
        middle = shape[front : len(shape) - back]
        axes, shape = axes[:front] + axes[front + 1 :], shape[:front] + shape[len(shape) - back :]
    else:
        middle = ()
    if len(axes) != len(shape):
        return None
    for axis, n in zip(axes, shape):
        factor, letter = AXIS.fullmatch(axis).groups()
        factor = int(factor or 1)
        if n != factor * (known.setdefault(letter, n // factor) if letter else 1):
            return None
    return middle


def check_shape_line(op, case):
    inputs, (made,) = shape_line(op.__doc__)
    assert [array.name for array in inputs] == list(op.names), f"{op}: its shape line names {inputs}"
    y = np.asarray(op.forward(*case.inputs, **case.options)[0])
    known, dots = {}, ()
    for array, x in zip(inputs * len(case.inputs) if op.variadic else inputs, case.inputs):
        if x is None:
            continue
        middle = fit(array.axes, x.shape, {} if op.variadic else known)
        assert middle is not None, f"{op}: {array.name} is {x.shape}, its docstring says {array.brackets()}"
        dots = np.broadcast_shapes(dots, middle)
        kinds = {"i": ("integers",), "b": ("bool",), "f": ("", "positive", "probabilities")}[x.dtype.kind]
        assert array.kind in kinds, f"{op}: {array.name} holds {x.dtype}, its docstring says {array.brackets()}"
    fits = fit(made.axes, y.shape, known) == (dots if "..." in made.axes else ())
    assert fits, f"{op}: {made.name} is {y.shape}, its docstring says {made.brackets()}"


def _last_axis(case):
    ndim = case.inputs[0].ndim
    return case.options["axis"] in (-1, ndim - 1) and not case.options["keepdims"]


def _scalar_of_two_axes(case):
    return case.inputs[0].ndim == 2 and case.options["reduction"] != "none"


# the line shows the common case; these ops have others, that their text or torch's tells
COMMON = {
    "sum": _last_axis,
    "mean": _last_axis,
    "var": _last_axis,
    "max": _last_axis,
    "matmul": lambda case: min(x.ndim for x in case.inputs) >= 2,
    "reshape": lambda case: len(case.options["shape"]) == 2,
    "transpose": lambda case: {case.options[a] % case.inputs[0].ndim - case.inputs[0].ndim for a in ("axis0", "axis1")}
    == {-1, -2},
    "permute": lambda case: [axis % 2 for axis in case.options["axes"]] == [1, 0],
    "broadcast_to": lambda case: case.inputs[0].shape == (1, *case.options["shape"][1:]) and case.inputs[0].ndim == 2,
    "getitem": lambda case: isinstance(case.options["index"], slice)
    or (isinstance(case.options["index"], np.ndarray) and case.options["index"].ndim == 1),
    "cat": lambda case: case.options["axis"] in (0, -case.inputs[0].ndim),
    "stack": lambda case: case.options["axis"] in (0, -case.inputs[0].ndim - 1),
    "cross_entropy": _scalar_of_two_axes,
    "mse_loss": _scalar_of_two_axes,
    "binary_cross_entropy": _scalar_of_two_axes,
    "binary_cross_entropy_with_logits": _scalar_of_two_axes,
}
