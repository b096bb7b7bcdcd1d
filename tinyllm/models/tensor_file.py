"""A safetensors file, read by memory map: its arrays are views of the file, and what is never used is never read.

    n        8 bytes, little-endian: the length of the header
    header   n bytes of JSON: {"wte.weight": {"dtype": "F32", "shape": [50257, 768], "data_offsets": [0, 154389504]}, …}
    data     the bytes of the arrays, one behind the other, without a gap and without a rest

Nothing in it can run code, as a pickle can. Every claim of the header is checked before it is believed.
"""

import math
import reprlib
from pathlib import Path

import numpy as np

from ..files import parse_json

MAX_HEADER = 2_000_000  # bytes; the GPT-2 of 1.5 billion parameters has 50 thousand
MAX_NAME = 500  # characters
DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def read_tensors(path):
    """{name: array} of a file. float16 and bfloat16 are widened to float32; all others are views of the file.

    They may be written to: that changes the memory of this process and never the file.
    """
    path = Path(path)
    header, start = _read_header(path)
    _check_layout(path, header, path.stat().st_size - start)
    data = np.memmap(path, np.uint8, "c").view(np.ndarray)[start:] if header else None
    return {name: _array(data, entry) for name, entry in header.items()}


def _array(data, entry):
    first, end = entry["data_offsets"]
    array = data[first:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # a float32 without the lower half of its bits
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if entry["dtype"] == "F16":
        return array.astype(np.float32)
    return array if array.flags.aligned else array.copy()


def _read_header(path):
    """The entries of the arrays, and where the data start."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        n = int.from_bytes(file.read(8), "little")
        if size < 8 or n > size - 8:
            _refuse(path, f"a header of {n:,} bytes in a file of {size:,}")
        if n > MAX_HEADER:
            _refuse(path, f"a header of {n:,} bytes, more than {MAX_HEADER:,}")
        raw = file.read(n)
    try:
        header = parse_json(raw)
    except ValueError as error:
        _refuse(path, f"its header is not JSON: {error}")
    if not isinstance(header, dict):
        _refuse(path, "its header is not a table of arrays")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        _refuse(path, "its __metadata__ is not a table of texts")
    return header, 8 + n


def _check_layout(path, header, size):
    """Raise where an entry is not the description of an array, or the arrays do not fill the data exactly."""
    for name, entry in header.items():
        if len(name) > MAX_NAME or not name.isprintable():
            _refuse(path, f"the name of an array, {name[:40]!r}…, is longer than {MAX_NAME} or not printable")
        if problem := _problem(entry):
            _refuse(path, f"{name}: {problem}")
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, end = entry["data_offsets"]
        if first != at:
            _refuse(path, f"{name} starts at byte {first:,} of the data, where the array before it ends at {at:,}")
        at = end
    if at != size:
        _refuse(path, f"its arrays take {at:,} bytes, the file has {size:,} of them")


def _problem(entry):
    """What is wrong with the entry of one array, or None."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        return "its entry has no dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"dtype {reprlib.repr(dtype)} is none of {', '.join(DTYPES)}"
    for numbers, longest in ((shape, 8), (offsets, 2)):
        if not isinstance(numbers, list) or len(numbers) > longest:
            return f"shape and data_offsets must be lists of at most 8 and of 2 numbers, not {reprlib.repr(numbers)}"
        if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
            return f"shape and data_offsets must be whole numbers of 0 or more, not {reprlib.repr(numbers)}"
    if math.prod(max(n, 1) for n in shape) >= 2**48:
        return f"shape {tuple(shape)}, which no array can have"
    itemsize = np.dtype(DTYPES[dtype]).itemsize
    if len(offsets) != 2 or math.prod(shape) * itemsize != offsets[1] - offsets[0]:
        return f"{dtype} of shape {tuple(shape)} does not fit the bytes {offsets}"
    return None


def _refuse(path, problem):
    raise ValueError(f"{path} cannot be read ({problem}): it was cut short or changed; take another checkpoint, or "
                     "train it again")
