"""`tinyllm exercise`"""

import math
from pathlib import Path
from textwrap import indent
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def exercise(
    op: Annotated[str | None, Parameter(name="OP")] = None,
    /,
    *,
    out: Path | None = None,
    force: Switch = False,
    check: Path | None = None,
    plain: Switch = False,
):
    """Write the backward of an op yourself, and have it graded.

    With OP, writes a Python file with the forward of that op, for you to write its backward in. With --check, grades
    such a file: each gradient by tinyllm's own and by finite differences. Without either, lists the ops from easy to
    hard.

    --check leaves with 0 when every gradient is right, with 1 when one is wrong; then it opens a page that steps
    through the example on which it is, at the first wrong gradient.

    Parameters
    ----------
    op
        Op to write the backward of.
    out
        File to write; by default exercise_OP.py.
    force
        Overwrite the file, and what was solved in it.
    check
        File to grade.
    plain
        Print the first wrong step in the terminal, and open no page.
    """
    if check and (op or out or force):
        raise ValueError(f"--check {check} grades that file; leave OP, --out and --force out")
    if plain and not check:
        raise ValueError("--plain says how --check FILE shows what is wrong")
    if check:
        _check(check, plain)
    elif op:
        _write(op, out or Path(f"exercise_{op}.py"), force)
    elif out or force:
        raise ValueError("--out and --force need an OP; `tinyllm exercise` lists them")
    else:
        _list()


def _list():
    from ..exercises import levels
    from .summary import print_table

    for title, ops in levels().items():
        print(title)
        print_table({f"  {op.__name__}": op.__doc__.partition("\n")[0] for op in ops})
        print()
    print("next: tinyllm exercise " + next(iter(levels().values()))[0].__name__)


def _write(name, path, force):
    import shlex

    from ..exercises import exercise_text, find_op

    text = exercise_text(find_op(name), path.as_posix())
    try:
        with open(path, "w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ValueError(f"{path} is there already; --force overwrites it, --out writes another file") from None
    print(f"{path} has the forward of {name}; write {name}_backward in it, then\n"
          f"tinyllm exercise --check {shlex.quote(str(path))}")  # fmt: skip


def _check(path, plain):
    import sys
    from contextlib import redirect_stdout

    from ..checking import read_ops, tinyllm_ops
    from ..exercises import grade, record_first_wrong

    ops, ours = read_ops(path).ops, tinyllm_ops()
    if unknown := ", ".join(sorted(set(ops) - set(ours))):
        raise ValueError(f"{path}: {unknown} is no exercise; `tinyllm check {path}` checks an op of your own")
    with redirect_stdout(sys.stderr):  # what the user's functions print
        grades = [grade(op, ours[name], path) for name, op in ops.items()]
        wrong = next((result for result in grades if not result.right), None)
        recording = wrong and record_first_wrong(ops[wrong.op], wrong)
    for result in grades:
        _print_grade(result)
    if recording:
        _show(recording, plain)
    if wrong:
        raise SystemExit(1)


def _show(recording, plain):
    """The step through the example that went wrong."""
    import sys

    from .page import write_page

    if plain:
        print()
        recording.show()
    else:
        print(f"\nstep through it: {write_page(recording, opens=sys.stdout.isatty())}")


def _print_grade(result):
    """Each gradient with its verdict, and below it what is wrong."""
    verdict = "right" if result.right else "not right yet"
    print(f"{result.op}: {verdict} ({result.examples} examples, in float64 and float32)")
    if result.problem:
        print(indent(result.problem, "  "))
    width = max((len(gradient.name) for gradient in result.gradients), default=0)
    for gradient in result.gradients:
        first, *more = filter(None, (_meaning(gradient), *gradient.findings))
        print(f"  {gradient.name:<{width}}   {gradient.verdict:<5}   {first}")
        for finding in more:
            print(f"  {'':<{width}}           {finding}")


def _meaning(gradient):
    error = f"largest error {gradient.error:.2g}"
    if gradient.verdict == "wrong":
        return "" if math.isnan(gradient.error) else error
    return "bit for bit tinyllm's" if gradient.verdict == "exact" else f"within rounding of tinyllm's, {error}"
