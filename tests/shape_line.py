"""The shape line of a docstring, `x (..., C)  weight (C,)  ->  y (..., C)`, held against real arrays.

A capital stands for one length throughout the line, `3C` for three times it, a digit for itself, and `...` for axes
that broadcast against each other. After the brackets may stand what the array holds: integers, bool.
"""

import re

import numpy as np

ARRAY = re.compile(r"(\w+) \(([^)]*)\)(?: (integers|bool|uint64))?")


def parse(docstring):
    """[(name, axes, kind)] of what goes in, and of what comes out."""
    lines = [line.strip() for line in docstring.splitlines() if "  ->  " in line]
    assert len(lines) == 1, f"one shape line is needed, found {lines} in {docstring!r}"
    sides = [
        [(name, [a.strip() for a in axes.split(",") if a.strip()], kind) for name, axes, kind in ARRAY.findall(side)]
        for side in lines[0].split("->")
    ]
    assert all(sides), f"an array is missing in {lines[0]!r}"
    return sides


def fit(axes, shape, known):
    """Whether `shape` is what `axes` say, where `known` says what the names stand for; it learns the new ones."""
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
        factor, letter = re.fullmatch(r"(\d*)([A-Z]?)", axis).groups()
        factor = int(factor or 1)
        if n != factor * (known.setdefault(letter, n // factor) if letter else 1):
            return None
    return middle


def check_shape_line(op, case):
    inputs, outputs = parse(op.__doc__)
    assert [name for name, _, _ in inputs] == list(op.names), f"{op}: its shape line names {inputs}"
    y = np.asarray(op.forward(*case.inputs, **case.options)[0])
    known, dots = {}, ()
    for (name, axes, kind), x in zip(inputs * len(case.inputs) if op.variadic else inputs, case.inputs):
        if x is None:
            continue
        middle = fit(axes, x.shape, {} if op.variadic else known)
        assert middle is not None, f"{op}: {name} is {x.shape}, its docstring says ({', '.join(axes)})"
        dots = np.broadcast_shapes(dots, middle)
        assert {"i": "integers", "b": "bool", "f": ""}[x.dtype.kind] == kind, f"{op}: {name} holds {x.dtype}"
    ((name, axes, _),) = outputs
    fits = fit(axes, y.shape, known) == (dots if "..." in axes else ())
    assert fits, f"{op}: {name} is {y.shape}, its docstring says ({', '.join(axes)})"


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
