"""Is every backward right? Inputs to try an op on, and the comparison with finite differences."""

from .check import OpCheck, array_names, called, check_op
from .examples import Example, examples
from .userfile import UserFile, read_ops, tinyllm_ops, told

__all__ = [
    "Example",
    "OpCheck",
    "UserFile",
    "array_names",
    "called",
    "check_op",
    "examples",
    "read_ops",
    "tinyllm_ops",
    "told",
]
