"""A user's file of ops: what it defines, and where in it something went wrong."""

import sys
import traceback
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from .. import ops  # noqa: F401  (fills OPS before the file is read)
from ..autograd import OPS
from .examples import examples


@dataclass(frozen=True)
class UserFile:
    """ops: {name: op} of those it defines; examples: {name: function} that make their inputs."""

    path: Path
    ops: dict
    examples: dict

    def examples_of(self, op, seed):
        """What to try one of its ops on."""
        try:
            return examples(op, seed, self.examples.get(op.__name__))
        except Exception as error:
            raise ValueError(told(error, self.path)) from error


def read_ops(path):
    """Run a file; tinyllm's own ops stay what they are, whatever it defines. What it prints goes to standard error."""
    namespace = {"__name__": Path(path).stem, "__file__": str(path)}
    source = Path(path).read_bytes()
    with _ops_kept() as before, _imports_from(Path(path).parent), redirect_stdout(sys.stderr):
        try:
            exec(compile(source, str(path), "exec"), namespace)
        except SyntaxError as error:
            raise ValueError(_syntax(error, path)) from error
        except Exception as error:
            raise ValueError(told(error, path)) from error
        defined = {name: op for name, op in OPS.items() if before.get(name) is not op and _is_foreign(op)}
    if not defined:
        raise ValueError(f"{path} defines no op: let it end as `cube = op(cube_forward, cube_backward)` does")
    own = namespace.get("examples", {})
    if not isinstance(own, dict):
        raise ValueError(f"{path}: examples must be a dict, {{name of an op: function}}, not {type(own).__name__}")
    return UserFile(Path(path), defined, own)


def told(error, path=None):
    """What went wrong, and at which line of the user's file; the words of the error where it was in none."""
    message = f"{type(error).__name__}: {error}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if not frames:
        return str(error) or message
    return f"{path}, line {frames[-1].lineno}, in {frames[-1].name}: {message}\n    {frames[-1].line}"


def _syntax(error, path):
    line = f"\n    {error.text.strip()}" if error.text else ""
    where = f"{path}, line {error.lineno}" if error.lineno else str(path)
    return f"{where}: {type(error).__name__}: {error.msg}{line}"


def tinyllm_ops():
    """{name: op} of the ops that are part of tinyllm."""
    return {name: op for name, op in OPS.items() if not _is_foreign(op)}


def _is_foreign(op):
    """A file may import parts of tinyllm that define ops: those are not the file's."""
    return not (op.backward.__module__ or "").startswith("tinyllm.")


@contextmanager
def _ops_kept():
    before = dict(OPS)
    try:
        yield before
    finally:
        for name in [name for name, op in OPS.items() if _is_foreign(op)]:
            del OPS[name]
        OPS.update(before)


@contextmanager
def _imports_from(folder):
    """As where Python runs the file: what lies beside it can be imported."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.pop(0)
