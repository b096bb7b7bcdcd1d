"""Special tokens: ids that stand for no text, as the end of a document. Plain text never becomes one unless asked."""

import re

import numpy as np

from .checks import check_text


def encode_with_special(text, allowed_special, special_tokens, encode_ordinary, who):
    """ids (T,) int64 of a text in which the names in allowed_special ("all", or some of them) become their ids.

    special_tokens: {name: id}; encode_ordinary: gives the list of ids of a text without any
    """
    check_text(text, who)
    parts = [text]
    if allowed := _allowed(allowed_special, special_tokens, who):
        parts = cut_at(text, allowed)
    ids = []
    for part in parts:
        ids += [special_tokens[part]] if part in allowed else encode_ordinary(part)
    return np.array(ids, np.int64)


def cut_at(text, names):
    """The text in parts, those that are a name for themselves; the longest where one begins another."""
    names = sorted(names, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, names))})", text) if names else [text]


def _allowed(allowed_special, special_tokens, who):
    if allowed_special == "all":
        return set(special_tokens)
    if isinstance(allowed_special, str):
        raise TypeError(f'{who}: allowed_special must be "all" or a collection of names, not {allowed_special!r}')
    unknown = set(allowed_special) - set(special_tokens)
    if unknown:
        raise ValueError(f"{who}: there is no special token {min(unknown)!r}; there are: "
                         f"{', '.join(special_tokens) or 'none'}")
    return set(allowed_special)
