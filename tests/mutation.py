"""Do the checks of the ops notice a wrong backward? Break every line of every backward in turn, and see them turn red.

    python tests/mutation.py                    every op, and the helpers that backwards call
    python tests/mutation.py layer_norm add     only these

A mutant is a backward with one spot changed: a sign, a dropped term, a forgotten transpose or sum, `+=` for `add.at`.
It is killed when one of the op's checks raises on one of the op's examples; a mutated helper, when those of one of the
ops that use it do. A mutant that survives is a mistake the tests would let through: a case is missing, or the line is
not needed. What cannot be killed, because it computes the same, is in EQUIVALENT with the reason.
"""

import argparse
import ast
import copy
import inspect
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

import tinyllm.ops  # noqa: E402, F401  (fills OPS)
from tests.op_cases import MAKERS, examples  # noqa: E402
from tests.op_checks import check_contract, check_needs, check_numeric, check_torch  # noqa: E402
from tests.ops.test_extreme_values import test_binary_cross_entropy_at_certainty  # noqa: E402
from tinyllm.autograd import OPS  # noqa: E402

CASES = 60  # examples of an op
EXTREME = {"binary_cross_entropy": partial(test_binary_cross_entropy_at_certainty, "float64")}

SLOWER = "fewer indices take the way for slices, and add.at gives the same for what is picked once"
EQUIVALENT = {  # (op, mutated line): why it computes the same
    ("binary_cross_entropy_with_logits", "p = array_module(x).where(x > 0, 1, e) / (1 + e)"): "at x = 0, e is 1 too",
    ("getitem", "parts = (index,)"): SLOWER,
    ("getitem", "if all((part is None and part is ... and isinstance(part, (int, slice)) for part in parts)):"): SLOWER,
    ("getitem", "if all((part is None for part in parts)):"): SLOWER,
    ("getitem", "if all((part is ... for part in parts)):"): SLOWER,
    ("getitem", "if all((isinstance(part, (int, slice)) for part in parts)):"): SLOWER,
    ("power", "da = unbroadcast(dy * b * a ** xp.where(b == 0, 1, b - 1), a.shape)"): "b = 0, as a factor, makes da 0",
}

# How to break one node -----------------------------------------------------------------------------------------------
# Each of these yields (kind, what to put in the node's place); what lies below the node is broken on its own turn.

TRANSPOSES = {"swapaxes", "transpose", "moveaxis"}
SUMS = {"sum", "mean", "unbroadcast", "spread"}
CALLS = {"exp", "log", "sqrt", "sign", "maximum", "broadcast_to"}
SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
SHIFTED = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
NEGATED = {ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
           ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip


def break_arithmetic(node):
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            yield "sign", ast.BinOp(left, SWAPPED[type(operator)](), right)
            yield "sign", ast.BinOp(minus(left), operator, right)
            yield "term", left
            yield "term", right if isinstance(operator, ast.Add) else minus(right)
        case ast.BinOp(left, ast.Mult() | ast.Div() as operator, right):
            yield "inverse", ast.BinOp(left, SWAPPED[type(operator)](), right)
            yield "factor", left
            if isinstance(operator, ast.Mult):
                yield "factor", right
        case ast.BinOp(left, ast.Pow() | ast.FloorDiv() | ast.Mod()):
            yield "factor", left
        case ast.UnaryOp(ast.USub(), ast.Constant(value)):
            yield "constant", ast.Constant(1 - value)
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.AugAssign(target, operator, value) if type(operator) in SWAPPED:
            yield "sign", ast.AugAssign(target, SWAPPED[type(operator)](), value)
        case ast.Assign(targets, value) if may_be_negated(value):
            yield "sign", ast.Assign(targets, minus(value))
        case ast.Constant(value) if type(value) in (int, float):
            yield "constant", ast.Constant(value + 1)


def break_call(node):
    match node:
        case ast.Attribute(array, "T"):
            yield "transpose", array
        case ast.Subscript(array, ast.Tuple(parts), ast.Load()) if any(is_none(part) for part in parts):
            yield "new axis", array
        case ast.Expr(ast.Call(ast.Attribute(ast.Attribute(_, "add"), "at"), [array, index, share])):
            yield "add.at", ast.AugAssign(ast.Subscript(array, index, ast.Store()), ast.Add(), share)
        case ast.Call(function, arguments, keywords):
            yield from break_function(node, called(node))
            for i, keyword in enumerate(keywords):
                yield keyword.arg, ast.Call(function, arguments, without(keywords, i))
            for i, argument in enumerate(arguments):
                if isinstance(argument, ast.Attribute) and argument.attr == "dtype":
                    yield "dtype", ast.Call(function, without(arguments, i), keywords)
                if is_library(node) and may_be_negated(argument):
                    yield "sign", ast.Call(function, put(arguments, i, minus(argument)), keywords)


def break_function(call, name):
    """What becomes of a call that is forgotten, or mixed up with another one, by the name of the function."""
    array = call.args[0] if is_library(call) or isinstance(call.func, ast.Name) else getattr(call.func, "value", None)
    if name in TRANSPOSES:
        yield "transpose", array
    if name == "transpose":  # transpose(0, 2, 1, 3)
        for i in range(len(call.args) - 1):
            yield "transpose", ast.Call(call.func, exchanged(call.args, i), [])
    if name in SUMS:
        yield "sum", array
    if name in ("sum", "mean") and isinstance(call.func, ast.Attribute):
        other = ast.Attribute(array, "mean" if name == "sum" else "sum", ast.Load())
        yield "mean for sum", ast.Call(other, call.args, call.keywords)
    if name in CALLS:
        yield "call", array
    if name == "reshape":
        yield "reshape", array
    if name == "where":
        condition, a, b = call.args
        yield "where", ast.Call(call.func, [condition, b, a], [])
        yield "where", a
        yield "where", b


def break_condition(node):
    match node:
        case ast.Compare(left, [operator], right):
            for table in (SHIFTED, NEGATED):
                if type(operator) in table:
                    yield "comparison", ast.Compare(left, [table[type(operator)]()], right)
        case ast.BoolOp(operator, values):
            yield "condition", ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values)
            for value in values:
                yield "condition", value
        case ast.IfExp(test, body, orelse):
            yield "condition", ast.IfExp(negate(test), body, orelse)
            yield "condition", body
            yield "condition", orelse
        case ast.If(test, body, orelse):
            yield "condition", ast.If(negate(test), body, orelse)


def break_statement(node):
    match node:
        case ast.Return(ast.Tuple(grads)):
            for i in range(len(grads) - 1):
                if not is_none(grads[i]) and not is_none(grads[i + 1]):
                    yield "gradients", ast.Return(ast.Tuple(exchanged(grads, i), ast.Load()))
        case ast.Return(ast.Name("dxs") as grads):
            backwards = ast.Slice(step=minus(ast.Constant(1)))
            yield "gradients", ast.Return(ast.Subscript(grads, backwards, ast.Load()))
        case ast.AugAssign() | ast.Expr(ast.Call()) | ast.Assign([ast.Subscript()]):
            yield "statement", ast.Pass()
        case ast.Assign([ast.Name(name)], value) if name in names_in(value):  # it has a value without this line too
            yield "statement", ast.Pass()


BREAKERS = (break_arithmetic, break_call, break_condition, break_statement)


def minus(node):
    return ast.UnaryOp(ast.USub(), node)


def negate(test):
    match test:
        case ast.Compare(left, [operator], right):
            return ast.Compare(left, [NEGATED[type(operator)]()], right)
    return ast.UnaryOp(ast.Not(), test)


def may_be_negated(node):
    """Whether it may be an array or a number: a minus before anything else only makes a TypeError."""
    if isinstance(node, ast.Call):
        return called(node) not in ("array_module", "tuple", "sorted", "zeros")
    return isinstance(node, (ast.Name, ast.BinOp, ast.Subscript, ast.IfExp)) and "shape" not in ast.unparse(node)


def is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def is_library(call):
    """`xp.f(...)`, `math.f(...)` or `array_module(x).f(...)`, and not a method of an array."""
    match call.func:
        case ast.Attribute(ast.Name("xp" | "math") | ast.Call(ast.Name("array_module"))):
            return True
    return False


def called(call):
    return call.func.id if isinstance(call.func, ast.Name) else call.func.attr


def names_in(node):
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def put(items, i, item):
    return [*items[:i], item, *items[i + 1 :]]


def exchanged(items, i):
    return [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def without(items, i):
    return [*items[:i], *items[i + 1 :]]


# Mutants -------------------------------------------------------------------------------------------------------------


@dataclass
class Mutant:
    """A function with one spot broken: `code` is what it runs then, original and mutated the line before and after."""

    function: FunctionType
    kind: str
    where: str
    original: str
    mutated: str
    code: CodeType


def variants(node):
    """(kind, line, tree) for every tree that differs from node in one broken spot."""
    for breaker in BREAKERS:
        for kind, broken in breaker(node):
            yield kind, node.lineno, ast.copy_location(copy.copy(broken), node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # -1 is one constant
    for field, child in ast.iter_fields(node):
        children = child if isinstance(child, list) else [child]
        for i, item in enumerate(children):
            for kind, line, broken in variants(item) if isinstance(item, ast.AST) else ():
                yield kind, line, replaced(node, field, put(child, i, broken) if isinstance(child, list) else broken)


def replaced(node, field, value):
    node = copy.copy(node)
    setattr(node, field, value)
    return node


def mutants(function):
    """Every mutant of a function, each source once."""
    path = Path(inspect.getsourcefile(function))
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    name, line = function.__name__, function.__code__.co_firstlineno
    tree = next(d for d in nodes if isinstance(d, ast.FunctionDef) and (d.name, d.lineno) == (name, line))
    source = ast.unparse(tree)
    seen = {source}
    for i, statement in enumerate(tree.body):
        for kind, line, broken in variants(statement):
            mutant = replaced(tree, "body", put(tree.body, i, broken))
            text = ast.unparse(mutant)
            if text in seen:
                continue
            seen.add(text)
            lines = zip(source.splitlines(), text.splitlines())
            original, mutated = next((a.strip(), b.strip()) for a, b in lines if a != b)
            where = f"{path.relative_to(ROOT).as_posix()}:{line}"
            yield Mutant(function, kind, where, original, mutated, compiled(mutant, function, path))


def compiled(tree, function, path):
    namespace = dict(function.__globals__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # where a mutant indexes a number: it fails when it runs
        exec(compile(ast.fix_missing_locations(ast.Module([tree], [])), path, "exec"), namespace)
    return namespace[tree.name].__code__


# Killing them --------------------------------------------------------------------------------------------------------


@cache
def cases(name):
    return examples(name, CASES)


def checks(name):
    """All checks of an op on all its cases, ready to run; the one that finds nearly everything goes first."""
    yield from (partial(check_torch, name, case, "float64") for case in cases(name))
    yield from (partial(check_contract, name, case) for case in cases(name))
    if "needs" in OPS[name].asks:
        yield from (partial(check_needs, name, case) for case in cases(name))
    if name in EXTREME:
        yield EXTREME[name]
    yield from (partial(check_numeric, name, case) for case in cases(name))
    yield from (partial(check_torch, name, case, "float32") for case in cases(name))


def failure(name):
    """What the first of the op's checks to fail now says; None when all are green."""
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            for check in checks(name):
                check()
        except Exception as error:
            return error
    return None


@contextmanager
def in_place(mutant):
    """Whoever calls the function runs the mutant: the op, and for a helper every module that imported it."""
    healthy = mutant.function.__code__
    mutant.function.__code__ = mutant.code
    try:
        yield
    finally:
        mutant.function.__code__ = healthy


def survives(mutant, ops):
    with in_place(mutant):
        return not any(failure(name) for name in ops)


def targets():
    """What is broken, by name: (function, the ops whose checks must notice), for backwards and for their helpers."""
    backwards = {name: (OPS[name].backward, [name]) for name in sorted(MAKERS)}
    helpers = {}
    for name, (backward, _) in backwards.items():
        for helper in helpers_of(backward):
            helpers.setdefault(helper.__name__, (helper, []))[1].append(name)
    return backwards | helpers


def helpers_of(function):
    """The functions of tinyllm.ops that the function calls."""
    used = (function.__globals__.get(name) for name in names_in(ast.parse(inspect.getsource(function))))
    return [f for f in used if isinstance(f, FunctionType) and f.__module__.startswith("tinyllm.ops") and f != function]


def hunt(name):
    """All mutants of one target, and those of them that survive."""
    function, ops = targets()[name]
    for op in ops:
        if red := failure(op):
            raise RuntimeError(f"{op} fails its checks as it is, so nothing can be said of its mutants") from red
    made = list(mutants(function))
    return made, [mutant for mutant in made if survives(mutant, ops)]


# The report ----------------------------------------------------------------------------------------------------------


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("op", nargs="*", help="ops or helpers to break (all)")
    names = parser.parse_args(arguments).op or list(targets())
    if unknown := set(names) - set(targets()):
        parser.error(f"no op or helper called {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    total = killed = excused = 0
    unused = {key for key in EQUIVALENT if key[0] in names}
    for name in names:
        made, survivors = hunt(name)
        print(f"{name:34}{len(made) - len(survivors):4} / {len(made)}", flush=True)
        for mutant in survivors:
            key = name, mutant.mutated
            unused.discard(key)
            excused += key in EQUIVALENT
            print(described(mutant, EQUIVALENT.get(key)))
        total, killed = total + len(made), killed + len(made) - len(survivors)
    alive = total - killed - excused
    print(f"\n{killed} of {total} mutants killed ({killed / total:.1%}), {excused} equivalent, {alive} survived")
    for key in sorted(unused):
        print(f"EQUIVALENT names {key}, but no such mutant survives: take it out")
    return 1 if alive or unused else 0


def described(mutant, excuse):
    verdict = f"equivalent: {excuse}" if excuse else "SURVIVES"
    return f"    {mutant.where}  {mutant.kind}  {verdict}\n      - {mutant.original}\n      + {mutant.mutated}"


if __name__ == "__main__":
    torch.set_num_threads(1)  # the arrays are so small that threads would mostly wait for each other
    sys.exit(main())
