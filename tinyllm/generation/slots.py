"""Slots of a template: names in braces, in whose place a text comes. A brace itself is written twice, {{ or }}."""

from string import Formatter


def slots_of(text):
    """The names of the slots of a text, in order."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; write a brace that is none of a slot twice: {{{{ or }}}}") from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise ValueError(f"{{{name}{':' + form if form else ''}}} is no slot; a slot is a name in braces, and a "
                             "brace that is none is written twice: {{ or }}")
    return [name for _, name, _, _ in parts if name is not None]


def check_slots(what, text, expected):
    """Raise where a text has not just the slots that are filled."""
    try:
        found = set(slots_of(text))
    except ValueError as error:
        raise ValueError(f"the template's {what}: {error}") from error
    if missing := sorted(expected - found):
        raise ValueError(f"the template's {what} lacks its slot {{{missing[0]}}}: {text!r}")
    if unknown := sorted(found - expected):
        raise ValueError(f"the template's {what} has a slot {{{unknown[0]}}} that nothing fills; it may have "
                         f"{', '.join(f'{{{name}}}' for name in sorted(expected))}")
