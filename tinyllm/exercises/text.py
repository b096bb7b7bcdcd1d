"""The file of an exercise: the forward of an op as it is, and the signature of the backward that is to be written."""

import ast
import inspect
from types import ModuleType

from ..checking.shape_line import shape_line
from .saved import saved_by


def exercise_text(op, file):
    """The text of the exercise on an op, in a file of that name."""
    name = op.__name__
    discrete = ", ".join(f'"{array}"' for array in op.names if array in op.discrete)
    return f'''"""Exercise: the backward of {name}.

The forward is tinyllm's own. Write the backward, and let it be graded:

    tinyllm exercise --check {file}
"""

{_imports(op)}


{inspect.getsource(op.forward).strip()}


def {name}_backward{inspect.signature(op.backward)}:
    """Given dL/dy, the gradient of the final loss L by the output, return its gradients by the arrays that went in.

{_indented(_task(op))}
    """
    raise NotImplementedError("write the backward")


{name} = op({name}_forward, {name}_backward{f", discrete=({discrete},)" if discrete else ""})
'''


def _task(op):
    """What comes in, and what is to be returned, in words and shapes; no formula."""
    arrays, (y,) = shape_line(op.__doc__)
    rows = [("dy", y.brackets(), f"dL/d{y.name}"), *saved_by(op)]
    if "needs" in op.asks:
        rows.append(("needs", "", "for each array, whether its gradient is wanted; you may work out all of them"))
    name_width, shape_width = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"{name:<{name_width}}  {shape:<{shape_width}}  {what}" for name, shape, what in rows]
    helpers = [f"{f.__name__}{inspect.signature(f)}" for f in _used(op.backward).values() if _is_helper(f)]
    lines += ["", f"return {_returned(op, arrays)}"]
    return lines + [f"at hand: {', '.join(helpers)}; help() says what it does"] * bool(helpers)


def _returned(op, arrays):
    if op.variadic:
        return f"a tuple with one gradient for each array of {arrays[0].name}, in its shape"
    grads = ", ".join("None" if array.name in op.discrete else f"d{array.name} {array.brackets()}" for array in arrays)
    broadcast = sum("..." in array.axes for array in arrays if array.name not in op.discrete) > 1
    return grads + (": each in the shape of its own array, also where that was broadcast" if broadcast else "")


def _imports(op):
    """What the forward uses, and what tinyllm's own backward is written with."""
    names_of, modules = {"tinyllm": {"op"}}, set()
    for name, value in (_used(op.forward) | _used(op.backward)).items():
        if isinstance(value, ModuleType):
            modules.add(f"import {name}")
        else:
            names_of.setdefault(getattr(value, "__module__", op.__module__), set()).add(name)
    froms = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(names_of.items())]
    ours = [line for line in froms if line.startswith("from tinyllm")]
    others = [*sorted(modules), *(line for line in froms if line not in ours)]
    return "\n".join([*others, "", *ours] if others else ours)


def _used(function):
    """{name: value} of the globals that a function reads."""
    tree = ast.parse(inspect.getsource(function))
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    read -= set(function.__code__.co_varnames)
    return {name: function.__globals__[name] for name in sorted(read) if name in function.__globals__}


def _is_helper(value):
    return inspect.isfunction(value) and value.__module__.startswith("tinyllm.ops")


def _indented(lines):
    return "\n".join(f"    {line}".rstrip() for line in lines)
