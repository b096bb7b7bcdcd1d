"""Whatever tinyllm calls on an array library is there in the real cupy, with the arguments it is given.

cupy imports without a GPU, and its functions tell their signatures: the Python ones to `inspect`, those in C, the
methods of its arrays and the ufuncs in the first line of their docstrings. The source says which names are used.
"""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tinyllm
from tests import fake_cupy

ROOT = Path(tinyllm.__file__).parent
OWN = {"_host", "_one", "__weakref__", "__index__"}  # of the stand-in; the real arrays have no __index__ to refuse
METHODS = sorted(vars(fake_cupy.ndarray).keys() - OWN)
PUBLIC = [name for name in METHODS if not name.startswith("_") and callable(getattr(np.ndarray, name, None))]


@pytest.fixture(scope="module")
def cupy():
    return pytest.importorskip("cupy", reason="cupy is not installed: nothing holds its names here")


def is_library(node):
    """Whether an expression is the library of an array: `xp`, or `array_module(x)`."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "array_module"
    return called or isinstance(node, ast.Name) and node.id == "xp"


def dotted(node):
    """("add", "at") of xp.add.at; None of anything else."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return tuple(reversed(names)) if names and is_library(node) else None


@cache
def uses():
    """{name: [(place, number of arguments by place, names of the others) of each call]}; of mere mention, []."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if "xp" not in (text := path.read_text("utf-8")) and "array_module" not in text:
            continue
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (name := dotted(node)):
                found.setdefault(name, [])
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := dotted(node.func)):
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found[name].append((place, None if starred else len(node.args), [k.arg for k in node.keywords]))
    return {name: calls for name, calls in found.items() if not found.keys() & {(*name, "at")}}


def resolved(module, name):
    for part in name:
        module = getattr(module, part)
    return module


def signature(function):
    """inspect's Signature of a function of cupy, also of one in C, from the first line of its docstring."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        line = re.search(r"\(.*\)", function.__doc__.splitlines()[0])[0].replace("\\*", "*")
        line = re.sub(r"\(self(, )?", "(", line)
        line = re.sub(r"\b(?:Py_ssize_t|_ndarray_base|int|bint) (?=\w)", "", line)
        scope = {}
        exec(f"def f{line}: pass", {"__builtins__": {}}, scope)
        return inspect.signature(scope["f"])


def test_a_call_that_cupy_would_not_take_is_seen(cupy):
    for function, count, keywords in [(cupy.exp, 1, ["where"]), (cupy.triu, 3, []), (cupy.ndarray.max, 0, ["initial"]),
                                      (cupy.clip, 2, [])]:  # fmt: skip
        with pytest.raises(TypeError):
            signature(function).bind(*range(count), **dict.fromkeys(keywords))
    signature(cupy.ndarray.sum).bind(axis=0, keepdims=True), signature(cupy.maximum).bind(1, 2)
    assert dotted(ast.parse("self.xp.exp", mode="eval").body) is None
    assert dotted(ast.parse("array_module(x).exp", mode="eval").body) == ("exp",)


def test_the_source_is_read_as_it_is_used():
    names = {".".join(name) for name in uses()}
    assert {"exp", "where", "add.at", "triu", "finfo", "stack", "zeros_like"} <= names and len(names) > 25
    assert ("ops/attention.py", 2) in {(place.partition(":")[0], n) for place, n, _ in uses()[("triu",)]}


@pytest.mark.parametrize("name", sorted(uses()), ids=".".join)
def test_a_name_is_cupys_and_takes_what_it_is_given(name, cupy):
    function = resolved(cupy, name)
    if not callable(function):
        return
    for place, count, keywords in uses()[name]:
        if count is None:
            continue
        try:
            signature(function).bind(*range(count), **dict.fromkeys(keywords))
        except TypeError as error:
            pytest.fail(f"{place}: xp.{'.'.join(name)}: {error}")


@pytest.mark.parametrize("name", sorted(uses()), ids=".".join)
def test_the_stand_in_has_it_too(name):
    with fake_cupy.stand_in() as module:
        assert resolved(module, name)


def test_the_stand_in_has_nothing_that_cupy_lacks(cupy):
    with fake_cupy.stand_in() as module:
        names = {name for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    names -= {"HiddenSynchronisation", "CaptureRefused"}
    assert not {name for name in names if not hasattr(cupy, name)}
    assert not {name for name in METHODS if not hasattr(cupy.ndarray, name)}
    for name in ("getDeviceCount", "getDevice", "getDeviceProperties", "driverGetVersion", "runtimeGetVersion",
                 "deviceSynchronize"):  # fmt: skip
        assert hasattr(cupy.cuda.runtime, name)
    assert hasattr(cupy.cuda.MemoryPool, "total_bytes") and hasattr(cupy.cuda.MemoryPool, "free_all_blocks")
    assert hasattr(cupy.cuda.MemoryHook, "alloc_postprocess")


@pytest.mark.parametrize("name", PUBLIC)
def test_a_method_of_the_stand_in_takes_cupys_arguments(name, cupy):
    ours = [p for p in inspect.signature(getattr(fake_cupy.ndarray, name)).parameters if p != "self"]
    theirs = list(signature(getattr(cupy.ndarray, name)).parameters)
    assert ours == theirs


def test_the_core_loads_no_cupy_where_it_is_installed(cupy):
    code = "import sys, tinyllm; tinyllm.GPT, tinyllm.AdamW, tinyllm.zeros(2).to('numpy'); print('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
