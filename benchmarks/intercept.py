"""Stand between the engine and what its ops run: an observer would turn the kernels off, and they are measured too."""

from contextlib import contextmanager

import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them: what comes after is not intercepted)
from tinyllm.autograd import OPS


@contextmanager
def intercepted(wrap):
    """Inside, wrap(op, phase, function) runs in place of every function of every op and of its kernels; phase is
    "forward" or "backward"."""
    before = [(op, op.forward, op.backward, dict(op.kernels)) for op in OPS.values()]
    for op, forward, backward, kernels in before:
        op.forward, op.backward = wrap(op, "forward", forward), wrap(op, "backward", backward)
        for backend, pair in kernels.items():
            op.kernels[backend] = pair._replace(
                forward=wrap(op, "forward", pair.forward), backward=wrap(op, "backward", pair.backward)
            )
    try:
        yield
    finally:
        for op, op.forward, op.backward, op.kernels in before:
            pass


def calls_of(model, ids, targets):
    """The ops of one forward: [{op, arrays, options, calls, saved}], calls that are alike counted together.

    arrays: (shape, kind of dtype) or None each. saved: the bytes that all of them keep for the backward, other than
    parameters and what an earlier op keeps already.
    """
    found, kept = {}, [memory_of(p.data) for p in model.parameters()]
    seen = set(map(id, kept))  # kept holds on to them: an id belongs to one array as long as it lives

    def wrap(op, phase, function):
        def forward(*arrays, **options):
            y, saved = function(*arrays, **options)
            key = op.__name__, tuple(None if a is None else (a.shape, a.dtype.kind) for a in arrays), str(options)
            call = found.setdefault(key, {"op": key[0], "arrays": key[1], "options": options, "calls": 0, "saved": 0})
            call["calls"] += 1
            for memory in map(memory_of, arrays_in(saved)):
                if id(memory) not in seen:
                    seen.add(id(memory))
                    kept.append(memory)
                    call["saved"] += memory.nbytes
            return y, saved

        return forward if phase == "forward" else function

    with intercepted(wrap):
        model.loss(ids, targets)
    return list(found.values())


def arrays_in(saved):
    if isinstance(saved, np.ndarray):
        return [saved]
    return [a for each in saved for a in arrays_in(each)] if isinstance(saved, (list, tuple)) else []


def memory_of(array):
    """The array that a view keeps alive."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
