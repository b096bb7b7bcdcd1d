"""Lines of source as a reader looks them up: `tinyllm/ops/linear.py:31   dx = dy @ swap(weight)`."""

import linecache

from .export import is_ours, short
from .source import result_lines

CALLING = "nn/module.py"  # stands between any two modules, and says nothing
TRAINING = "tinyllm/training/"  # whose callers say nothing of the model


def made_at(function, result):
    """The line of a function that makes a result; the only result of a variadic op is the first one."""
    made = result_lines(function)
    lines = made[result] if result < len(made) else made[0]
    if lines is None:
        return []
    return [line(function.__code__.co_filename, *lines)]


def called_at(call):
    """The lines that led to a call, from the op outwards to the one that called the model."""
    found = []
    for place in call.places:
        if not place.file.endswith(CALLING):
            found.append(line(place.file, place.line, place.line))
        if not is_ours(place.file) or short(place.file).startswith(TRAINING):
            break
    return found


def line(file, first, last):
    text = " ".join(linecache.getline(file, n).strip() for n in range(first, last + 1))
    return f"{short(file)}:{first}   {text}"
