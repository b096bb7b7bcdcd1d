"""Tensors and modules as text. A small tensor shows its numbers, a larger one what they are like."""

import numpy as np

from ..backend import backend_of, to_numpy
from .statistics import statistics
from .tree import branches

LISTED = 100  # up to so many numbers are all shown


def tensor_text(x):
    """Tensor([1. , 2.5], shape=(2,), dtype=float32), or with more numbers than 100
    Tensor(-2.114 … 1.983, mean 0.0126, shape=(8, 64), dtype=float32, from=linear(h.0.mlp.c_fc.weight))"""
    kind = type(x).__name__
    return f"{kind}({', '.join([numbers(x.data, kind), f'shape={x.shape}', f'dtype={x.dtype}', *facts(x)])})"


def numbers(array, kind):
    if array.size > LISTED:
        return str(statistics(array))
    return np.array2string(to_numpy(array), separator=", ", prefix=f"{kind}(", precision=4)


def facts(x):
    """What a tensor has besides numbers: a name, another backend than numpy, where it came from."""
    name, backend = getattr(x, "name", None), backend_of(x.data)
    found = [f"name={name}"] if name else []
    found += [f"backend={backend}"] if backend != "numpy" else []
    if x.node:
        found.append(f"from={origin(x.node)}")
    elif bool(name) != x.requires_grad:  # what has a name is a parameter, of which one expects that it learns
        found.append(f"requires_grad={x.requires_grad}")
    return found


def origin(node):
    """The op that made a tensor, with the parameters it used: linear(h.0.attn.c_attn.weight), add."""
    names = [name for name in map(name_of, node.inputs) if name]
    return node.op.__name__ + (f"({', '.join(names)})" if names else "")


def name_of(source):
    """The name of a parameter, also where it was only transposed on the way, as in x @ weight.T."""
    made = getattr(source, "op", None)
    return name_of(source.inputs[0]) if made and made.__name__ == "transpose" else getattr(source, "name", None)


def module_text(module):
    """The tree of a module: on each line its options, the number of its parameters, and the shapes of its own."""
    return "\n".join(map(line, branches(module)))


def line(branch):
    head = "  " * branch.depth + label(branch)
    return f"{head:<48} {branch.count:>13,}  {sizes(branch)}".rstrip() if branch.count else head


def label(branch):
    return (f"({branch.name}): " if branch.name else "") + branch.title


def sizes(branch):
    """The shapes of a module's own parameters."""
    return ", ".join(f"{name} {p.shape}" + (f" tied to {tied}" if tied else "") for name, p, tied in branch.parameters)
