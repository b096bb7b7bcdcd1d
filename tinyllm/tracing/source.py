"""Which text of which file made a value. Found from the running code and its syntax tree, never by searching text."""

import ast
import inspect
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ENGINE = {str(HERE.parent / name) for name in ("autograd.py", "methods.py", "debug.py")}


@dataclass(frozen=True)
class Place:
    """An expression: the lines and columns (in bytes, as Python counts them) from its beginning to its end."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def span(self):
        return self.line, self.column, self.end_line, self.end_column


def callers():
    """The expressions that are being computed, from the op that runs outwards; the engine itself is left out."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        code = frame.f_code
        if code.co_filename not in ENGINE and Path(code.co_filename).parent != HERE:
            line, end_line, column, end_column = list(code.co_positions())[frame.f_lasti // 2]
            if None not in (line, end_line, column, end_column):
                found.append(Place(code.co_filename, line, column, end_line, end_column))
        frame = frame.f_back
    return found


def assigned_name(places):
    """The name that the value gets: "qkv" where `qkv = self.c_attn(x)` called what made it; None where it has none."""
    for place in places:
        statement = values(place.file).get(place.span)
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            return statement.targets[0].id
        if not isinstance(statement, ast.Return):  # it is a part of a larger expression
            return None


@cache
def values(file):
    """{span: statement} of the value of every `name = value` and `return value` of a file, and of both sides of
    `value if condition else value`."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # a terminal, a notebook: no file to read
        return {}
    found = {}
    for statement in ast.walk(tree):
        if isinstance(statement, (ast.Assign, ast.Return)) and statement.value:
            value = statement.value
            for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                found[part.lineno, part.col_offset, part.end_lineno, part.end_col_offset] = statement
    return found


def result_lines(function, known=None):
    """(first, last) line of the statement that makes each of the results of a function, None for a result `None`.

    known: {name: value} of arguments, so that what stands below `if bias is not None:` or `if reduction == "sum":`
    counts only where it runs.

    For dx in `return dx, dweight` that is the last statement that writes to dx: `dx = …`, `dx += …`, `dx[i] = …`, or
    a call that writes into it, `add.at(dx, ids, dy)`. Written in both branches of an if, it is made by
    the whole if. A result without a name is made by the return itself.
    """
    first = inspect.getsourcelines(function)[1]
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    ast.increment_lineno(tree, first - 1)
    final = [node for node in ast.walk(tree) if isinstance(node, ast.Return)][-1]
    results = final.value.elts if isinstance(final.value, ast.Tuple) else [final.value]
    running, lines = list(_running(tree, known or {})), []
    for result in results:
        writers = [node for node in running if isinstance(node, ast.stmt) and _writes(node, result)]
        made_by = max(writers, key=lambda node: node.lineno, default=final)
        forks = [node for node in running if isinstance(node, ast.If) and _forks(node, made_by, writers)]
        made_by = forks[0] if forks else made_by
        is_none = isinstance(result, ast.Constant) and result.value is None
        lines.append(None if is_none else (made_by.lineno, made_by.end_lineno))
    return lines


def _running(node, known):
    """The node and all below it, without the branches that do not run with arguments of these values."""
    yield node
    children = ast.iter_child_nodes(node)
    match node:
        case ast.If(ast.Compare(ast.Name(name), [operator], [ast.Constant(value)])) if name in known:
            same = known[name] == value
            if isinstance(operator, (ast.Is, ast.Eq)):
                children = node.body if same else node.orelse
            elif isinstance(operator, (ast.IsNot, ast.NotEq)):
                children = node.orelse if same else node.body
    for child in children:
        yield from _running(child, known)


def _forks(branching, made_by, writers):
    """Whether a statement stands in one branch of an if, and the other branch has a writer too."""
    branches = [{node for part in branch for node in ast.walk(part)} for branch in (branching.body, branching.orelse)]
    return any(made_by in branch for branch in branches) and all(branch & set(writers) for branch in branches)


def _writes(statement, result):
    """Whether a statement writes to the variable `result`."""
    if not isinstance(result, ast.Name):
        return False
    if isinstance(statement, ast.Assign):
        targets = [name for target in statement.targets for name in ast.walk(target)]
    elif isinstance(statement, ast.AugAssign):
        targets = ast.walk(statement.target)
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        targets = statement.value.args[:1]
    else:
        return False
    return any(isinstance(target, ast.Name) and target.id == result.id for target in targets)
