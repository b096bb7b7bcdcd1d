"""A module and those below it, one after the other, as the reprs show them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """One module of the tree."""

    depth: int
    name: str  # of the attribute; empty for the module at the top
    title: str  # Linear(3, 2, bias=False)
    count: int  # parameters, its own and those below
    parameters: list  # (name, parameter, path of the one it is tied to or None) for each of its own
    children: int


def branches(module):
    """The Branch of a module and of each one below it."""
    seen = {}  # parameter: the path under which it came first
    for path, part in module.named_modules():
        own = []
        for name, parameter in part.named_parameters(recurse=False):
            own.append((name, parameter, seen.get(parameter)))
            seen.setdefault(parameter, f"{path}.{name}" if path else name)
        yield Branch(
            depth=path.count(".") + bool(path),
            name=path.rpartition(".")[2],
            title=f"{type(part).__name__}({part.extra_repr()})",
            count=sum(parameter.data.size for parameter in part.parameters()),
            parameters=own,
            children=len(part.named_children()),
        )
