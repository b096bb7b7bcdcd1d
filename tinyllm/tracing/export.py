"""A recording as JSON: the form that the page reads, described by schema.json.

Arrays are little-endian float32, int32 or one byte a boolean, in base64, so that no digit is lost and NaN and
infinities have a form. Of a gradient only the shares are kept: before and after are their running float32 sums, and a
checksum of `after` lets whoever adds them up see that he got the engine's own bits.
"""

import base64
import hashlib
import inspect
import json
import platform
import zlib
from pathlib import Path

import numpy as np

from .. import __version__
from ..optim.adamw import adamw
from ..optim.clip import clip
from ..optim.sgd import sgd
from .recorder import Value
from .source import result_lines

PACKAGE = Path(__file__).parents[1]
SCHEMA = "tinyllm.trace/1"
UPDATES = {"m": adamw, "velocity": sgd}  # by what an optimizer remembers of a parameter


def to_dict(trace):
    """The recording as dicts, lists, texts and numbers."""
    ops = {call.op.__name__: call.op for call in trace.calls}
    files = {function.__code__.co_filename for op in ops.values() for function in (op.forward, op.backward)}
    functions = other_functions(trace)
    files |= {function.__code__.co_filename for function in functions.values()}
    files |= {place.file for call in trace.calls for place in call.places if is_ours(place.file)}
    return {
        "schema": SCHEMA,
        "meta": {**versions(), **plain(trace.meta)},
        "text": trace.text,
        "modules": [{"path": path, "kind": kind} for path, kind in trace.modules],
        "values": [value_dict(value) for value in trace.values],
        "ops": {name: op_dict(op) for name, op in sorted(ops.items())},
        "functions": {phase: function_dict(function) for phase, function in functions.items()},
        "calls": [call_dict(call) for call in trace.calls],
        "steps": [step_dict(step, trace) for step in trace.steps],
        "sources": {short(file): source_dict(file) for file in sorted(files)},
    }


def versions():
    return {"tinyllm": __version__, "python": platform.python_version(), "numpy": np.__version__}


def other_functions(trace):
    """{phase: the function that did it} of the phases that are no ops."""
    found = {}
    for step in trace.steps:
        if step.phase == "clip":
            found["clip"] = clip
        for name in UPDATES.keys() & step.numbers.keys():
            found["update"] = UPDATES[name]
    return found


def value_dict(value):
    return {
        "id": value.id,
        "name": value.name,
        "role": value.role,
        "scope": value.scope,
        "gradient": value.gradient,
        "array": array_dict(value.array),
    }


def op_dict(op):
    return {
        "inputs": [f"{op.names[0]}[…]"] if op.variadic else list(op.names),
        "shapes": (inspect.getdoc(op.forward) or "").rpartition("\n")[2],
        "forward": function_dict(op.forward),
        "backward": function_dict(op.backward),
    }


def function_dict(function):
    """Where a function stands, what it says of itself, and which lines make its results."""
    lines, first = inspect.getsourcelines(function)
    return {
        "name": function.__name__,
        "file": short(function.__code__.co_filename),
        "first": first,
        "last": first + len(lines) - 1,
        "doc": inspect.getdoc(function) or "",
        "results": [lines and list(lines) for lines in result_lines(function)],
    }


def call_dict(call):
    return {
        "id": call.id,
        "op": call.op.__name__,
        "scope": call.scope,
        "inputs": [value and value.id for value in call.inputs],
        "options": {name: plain(option) for name, option in call.options.items()},
        "output": call.output.id,
        "saved": {name: plain(x) for name, x in call.saved.items()},
        "places": [place_dict(place) for place in call.places if is_ours(place.file)],
    }


def step_dict(step, trace):
    """One step; what it does not have is left out."""
    found = {"phase": step.phase}
    if step.call:
        found["call"] = step.call.id
    if step.value:
        found["value"] = step.value.id
    if step.phase == "backward":
        found |= {"wrt": step.wrt, "nth": step.nth, "of": trace.shares(step.value), "share": array_dict(step.share)}
        if step.after.dtype == np.float32:
            found["checksum"] = zlib.crc32(np.ascontiguousarray(step.after))
    if step.phase in ("seed", "update"):
        found["after"] = array_dict(step.after)
    if step.numbers:
        found["numbers"] = {name: plain(x) for name, x in step.numbers.items()}
    return found


def plain(x):
    """Whatever an op was given or saved, as JSON has it: a number, a text, {"value": id} or {"array": …}."""
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, Value):
        return {"value": x.id}
    if isinstance(x, np.ndarray):
        return {"array": array_dict(x)}
    if isinstance(x, (bool, int, str, type(None))) or (isinstance(x, float) and np.isfinite(x)):
        return x
    if isinstance(x, (tuple, list)):
        return [plain(part) for part in x]
    if isinstance(x, dict):
        return {name: plain(part) for name, part in x.items()}
    return repr(x)


def array_dict(array):
    kind, dtype = {"f": ("f4", "<f4"), "i": ("i4", "<i4"), "u": ("i4", "<i4"), "b": ("b1", "?")}[array.dtype.kind]
    data = base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()
    return {"dtype": kind, "shape": list(array.shape), "data": data}


def place_dict(place):
    return {"file": short(place.file), "line": place.line, "column": place.column,
            "end_line": place.end_line, "end_column": place.end_column}  # fmt: skip


def source_dict(file):
    text = Path(file).read_text(encoding="utf-8")
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}


def is_ours(file):
    return Path(file).is_relative_to(PACKAGE)


def short(file):
    """A path as a reader knows it: tinyllm/ops/linear.py; of a file elsewhere its name alone."""
    path = Path(file)
    return path.relative_to(PACKAGE.parent).as_posix() if is_ours(file) else path.name


def to_json(trace):
    """The recording as JSON text; the same recording gives the same text."""
    return json.dumps(to_dict(trace), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
