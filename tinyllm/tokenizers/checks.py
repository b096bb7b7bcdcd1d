"""What every tokenizer asks of the text and the ids that it is given."""

import numpy as np

from ..backend import check_ids, to_numpy
from ..tensor import Tensor


def check_text(text, who):
    """Raise where text is not one str of whole characters."""
    if not isinstance(text, str):
        raise TypeError(f"{who} takes one str, not {type(text).__name__}; join a list, decode bytes")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{who}: the text has half of a character (a lone surrogate, U+{ord(text[error.start]):04X}) "
                         f"at position {error.start}, which UTF-8 cannot say; take it out") from error


def row_of_ids(ids, vocab_size):
    """ids (a list, an array, a Tensor, one id) as an array (T,) of integers in 0 … vocab_size − 1."""
    ids = np.atleast_1d(to_numpy(Tensor(ids).data))
    if ids.ndim > 1:
        raise ValueError(f"decode takes the ids of one text, got {ids.shape}; decode it row by row")
    if ids.size == 0:
        return ids.astype(int)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"decode takes integer ids, not {ids.dtype}")
    check_ids(ids, vocab_size, "token id")
    return ids
