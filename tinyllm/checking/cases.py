"""What the shape line of an op does not say: its options, other shapes it takes, where it is defined.

For each op here a list of cases, taken in turn: (the arrays that go in, the options). Arrays are written as in a
shape line, and "" stands for the op's own. All other ops are tried on their own shape line, without options.
"""

import numpy as np


def _each(line, *options):
    return [(line, o) for o in options]


_AXES = [
    ("", {}),
    *_each("x (K, M, N)", {"axis": -1}, {"axis": 0, "keepdims": True}, {"axis": 1}, {"axis": (0, -1)}),
]
_REDUCTIONS = {"reduction": "mean"}, {"reduction": "sum"}, {"reduction": "none"}
_AXIS = _each("", {}, {"axis": 0})
_ROWS = np.array([0, 2, 2])  # one of them twice

CASES = {
    "log": [("x (...) positive", {})],
    "sqrt": [("x (...) positive", {})],
    "power": [("a (...) positive  b (...)", {})],
    "clip": _each("", {"min": -0.8, "max": 0.8}, {"max": 0.8}, {"min": -0.8}),  # ±0.8 is never drawn
    "dropout": _each("x (N, M)  keep (N, M) bool", {}, {"p": 0.25}),  # unlike two arrays of (...), they never broadcast
    "sum": _AXES,
    "mean": _AXES,
    "max": _AXES,
    "var": [*_AXES, ("x (M, N)", {"axis": 0, "correction": 0})],
    "softmax": _AXIS,
    "log_softmax": _AXIS,
    "matmul": [("", {}), ("a (N, K)  b (K, M)", {}), ("a (K,)  b (..., K, M)", {}), ("a (..., N, K)  b (K,)", {}),
               ("a (K,)  b (K,)", {})],
    "reshape": _each("", {"shape": (-1,)}, {"shape": (1, -1)}),
    "transpose": _each("x (N, M, ...)", {"axis0": 0, "axis1": 1}, {"axis0": 0, "axis1": -1}),
    "permute": _each("x (N, M, K)", {"axes": (2, 0, 1)}, {"axes": (-2, -1, 0)}, {"axes": (1, 0, 2)}),
    "broadcast_to": [("x (1, 4)", {"shape": (2, 3, 4)}), ("x (3, 1)", {"shape": (3, 4)}), ("x ()", {"shape": (2,)})],
    "getitem": _each("x (3, 4)", {"index": 1}, {"index": slice(1, None)}, {"index": _ROWS}, {"index": (..., 0)},
                     {"index": (_ROWS, _ROWS)}, {"index": (slice(None), _ROWS)}),
    "cat": [("", {}), ("xs (2, N)", {"axis": 1}), ("xs (2, N, 3)", {"axis": -2})],
    "stack": [("", {}), ("", {"axis": -1}), ("xs (2, 3)", {"axis": 1})],
    "causal_attention": [("", {"n_head": 2, "p": 0.25})],
    "cross_entropy": [*_each("", *_REDUCTIONS, {"reduction": "sum", "ignore_index": 1}),
                      *_each("logits (N, V, T)  targets (N, T) integers", {}, {"reduction": "none"})],
    "mse_loss": _each("", *_REDUCTIONS),
    "binary_cross_entropy": _each("p (N, M) probabilities  target (N, M) probabilities", *_REDUCTIONS),
    "binary_cross_entropy_with_logits": _each("x (N, M)  target (N, M) probabilities", *_REDUCTIONS),
}  # fmt: skip

LENGTHS = {"causal_attention": {"C": 6, "H": 2, "D": 3}}  # that must fit each other; all others are drawn
