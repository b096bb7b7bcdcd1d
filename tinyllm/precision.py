"""In what precision the GPU computes: a policy of the context, as `with precision("tf32"): …`.

    fp32    everything float32
    tf32    arrays float32; what goes into matrix products and attention is rounded to 10 bits (of float32's 23)
    bf16    weights and activations bfloat16 (7 bits); sums, statistics, loss, master weights and moments float32.
            Weights that do not learn are bfloat16 alone
"""

from contextlib import contextmanager
from contextvars import ContextVar

PRECISIONS = ("fp32", "tf32", "bf16")
_current = ContextVar("tinyllm.precision", default="fp32")


def current():
    """The precision that holds here."""
    return _current.get()


@contextmanager
def precision(name):
    """Inside, products and attention on a GPU run in this precision."""
    check(name)
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def check(name, backend=None, dtype=None):
    """Raise where `name` is no precision, or is none that arrays of this backend and dtype can have."""
    if name not in PRECISIONS:
        raise ValueError(f"--precision must be one of {', '.join(PRECISIONS)}, not {name!r}")
    if name != "fp32" and backend == "numpy":
        raise ValueError(f"--precision {name} needs a GPU: choose --backend cupy, or --precision fp32")
    if name != "fp32" and dtype == "float64":
        raise ValueError(f"--precision {name} is less than --dtype float64 asks for; choose one of the two")
