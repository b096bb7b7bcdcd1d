"""`tinyllm check`"""

from pathlib import Path
from textwrap import indent
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def check(file: Annotated[Path | None, Parameter(name="FILE")] = None, /, *, seed: int = 0, json: Switch = False):
    """Hold the backward of every op against finite differences.

    With FILE, the ops which that Python file makes with `op(forward, backward)`, as the files in tinyllm/ops do.

    Their inputs follow from a shape line in the docstring of the forward: `x (..., C)  weight (C,)  ->  y (..., C)`.
    A word behind an array says what it holds: `ids (N,) integers`, `keep (N,) bool`, `x (N,) positive`,
    `p (N,) probabilities`. Where that is not enough, the file gives examples of its own, a tuple of arrays and, if
    need be, a dict of options at its end: `examples = {"cube": lambda rng: (rng.standard_normal((3, 4)),)}`.

    Leaves with 0 when every backward is right, with 1 when one is wrong.

    Parameters
    ----------
    file
        Python file with ops of your own; by default the ops of tinyllm are checked.
    seed
        Another seed draws other inputs and directions.
    json
        Print a list of objects, one an op, and nothing else.
    """
    import json as json_
    import sys
    from contextlib import redirect_stdout

    from ..checking import check_op, examples, read_ops, tinyllm_ops

    if seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {seed}")
    ops, examples_of = [op for _, op in sorted(tinyllm_ops().items())], examples
    if file:
        user = read_ops(file)
        ops, examples_of = list(user.ops.values()), user.examples_of
    with redirect_stdout(sys.stderr):  # what the user's functions print
        results = [check_op(op, examples_of(op, seed), file, seed) for op in ops]
    if json:
        print(json_.dumps([_object(result) for result in results], indent=1))
    else:
        _print_table(results)
    if not all(result.ok for result in results):
        raise SystemExit(1)


def _object(result):
    """A result for JSON, which knows no nan."""
    import math

    numbers = {name: getattr(result, name) for name in ("numeric", "analytic", "error")}
    numbers = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
    return {"op": result.op, "ok": result.ok, "examples": result.examples, **numbers, "problem": result.problem}


def _print_table(results):
    width = max(len(result.op) for result in results)
    print(f"{'op':<{width}}   {'numeric':>13}   {'analytic':>13}   {'error':>8}")
    for result in results:
        print(f"{result.op:<{width}}   {result.numeric:>13.6g}   {result.analytic:>13.6g}   {result.error:>8.1e}   "
              f"{'ok' if result.ok else 'WRONG'}")
        if result.problem:
            print(indent(result.problem, "    "))
    wrong = [result.op for result in results if not result.ok]
    count = f"{len(results)} ops" if len(results) > 1 else "1 op"
    verdict = f"wrong: {', '.join(wrong)}" if wrong else "all right"
    print(f"\n{count}, {results[0].examples} examples each: {verdict}.\n"
          "numeric: how fast the loss changes when the inputs move in a random direction, by finite differences;\n"
          "analytic: how fast the backward says it does; of the example on which they differ most.")
