"""The recording of a wrong backward at work, to step through."""

import numpy as np

from ..autograd import Op
from ..methods import Tensor
from ..tracing import trace


def record_first_wrong(theirs, grade):
    """The Trace of L = Σ c · y on the first example with wrong numbers, c being random, which shows the first of them.

    None where there are no numbers to look at: the engine refuses a gradient of another shape or dtype.
    """
    comparison = grade.first_wrong
    if comparison is None or comparison.misfit:
        return None
    yours = Op(theirs.forward, theirs.backward, theirs.discrete)
    yours.__name__ = f"your_{theirs.__name__}"  # whose formula and torch's value would give the solution away
    inputs = [None if x is None else _tensor(x) for x in comparison.example.inputs]
    c = _tensor(comparison.dy).detach()
    with trace() as recording, np.errstate(all="ignore"):
        recording.name(c, "c")
        y = yours(*inputs, **comparison.example.options)
        weighted = y * c
        L = weighted.sum()
        try:
            L.backward()
        except Exception:  # of the user's code, on another gradient than this one
            return None
    shown = [step.phase == "backward" and step.call.op is yours and step.wrt == comparison.index
             for step in recording.steps]  # fmt: skip
    recording.meta["focus"] = {"step": shown.index(True), "cell": list(comparison.first_wrong)}
    return recording


def _tensor(x):
    return Tensor(x.astype(np.float32), requires_grad=True) if x.dtype.kind == "f" else Tensor(x)
