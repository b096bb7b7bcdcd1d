"""A safetensors file is read as the safetensors library reads it, and what is none is refused, whatever it is."""

import json
import re
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file

from tinyllm.models.tensor_file import MAX_HEADER, read_tensors

NUMPY_DTYPES = [np.dtype(name) for name in "? u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split()]
A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
B = {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}


def write(path, header, data=b""):
    """A file with this header (a value, or its bytes)."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def same(found, expected):
    assert list(found) == list(expected) or sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


# what there is


arrays = st.dictionaries(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter("__metadata__".__ne__),
    st.tuples(st.sampled_from(NUMPY_DTYPES), st.lists(st.integers(0, 4), max_size=4)),
    max_size=5,
)


@given(arrays, st.integers(0, 9))
def test_it_reads_what_the_library_wrote(tmp_path_factory, kinds, seed):
    rng = np.random.default_rng(seed)
    made = {name: rng.integers(0, 2, shape).astype(dtype) for name, (dtype, shape) in kinds.items()}
    path = tmp_path_factory.mktemp("tensors") / "file"
    save_file(made, path, {"format": "pt", "note": "of no interest"})
    same(read_tensors(path), made)
    same(read_tensors(path), load_file(path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_as_torch_widens_it(tmp_path, dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)  # every number there is, NaN as well
    save_torch_file({"x": every.reshape(256, 256)}, tmp_path / "file")
    found = read_tensors(tmp_path / "file")["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, every.float().numpy().reshape(256, 256))


def test_arrays_are_views_of_the_file_and_can_be_written_to_without_changing_it(tmp_path):
    save_file({"a": np.ones(1000, np.float32), "b": np.ones(1000)}, tmp_path / "file")
    tracemalloc.start()
    found = read_tensors(tmp_path / "file")
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
    before = (tmp_path / "file").read_bytes()
    found["a"][:] = 2
    assert not found["a"].flags.owndata and found["a"].sum() == 2000
    assert (tmp_path / "file").read_bytes() == before


def test_a_file_may_be_replaced_while_its_arrays_are_in_use(tmp_path):
    save_file({"a": np.ones(1000, np.float32)}, tmp_path / "file")
    found = read_tensors(tmp_path / "file")["a"]
    save_file({"a": np.zeros(10, np.float32)}, tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / "file")
    assert found.sum() == 1000


@pytest.mark.parametrize("spaces", range(8))
def test_data_that_lie_askew_are_read_too(tmp_path, spaces):
    """The format asks for no alignment; numpy's arrays are to have theirs."""
    data = np.arange(3, dtype=np.float32).tobytes()
    found = read_tensors(write(tmp_path / "file", json.dumps({"a": A, "b": B}).encode() + b" " * spaces, data))
    assert found["a"].flags.aligned
    same(found, load_file(tmp_path / "file"))


# what there may be instead


def entry(**changes):
    return {"a": {**A, **changes}, "b": B}


LIES = {
    "not a table": (b"[1]", "is not a table of arrays"),
    "no JSON": (b"garbage!", "is not JSON"),
    "no UTF-8": (b"\xff\xff", "is not JSON"),
    "nested": (b"[" * 100_000, "is not JSON: it is nested too deeply"),
    "a key twice": (b'{"a": %s, "a": %s}' % (json.dumps(A).encode(), json.dumps(B).encode()), "'a' stands there twice"),
    "a part twice": (b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
                     "'dtype' stands there twice"),
    "metadata": ({"__metadata__": {"step": 1}}, "__metadata__ is not a table of texts"),
    "an entry": ({"a": 5}, "a: its entry has no dtype, shape and data_offsets"),
    "an entry that lacks one": ({"a": {"dtype": "F32", "shape": [2]}}, "has no dtype, shape and data_offsets"),
    "dtype": (entry(dtype="F31"), "dtype 'F31' is none of BOOL, U8"),
    "dtype of another kind": (entry(dtype=["F32"]), "is none of"),
    "shape": (entry(shape=[3]), re.escape("a: F32 of shape (3,) does not fit the bytes [0, 8]")),
    "negative": (entry(shape=[-1, -2]), "whole numbers of 0 or more"),
    "fractions": (entry(shape=[2.0]), "whole numbers of 0 or more"),
    "truth": (entry(shape=[True, 2]), "whole numbers of 0 or more"),
    "no list": (entry(shape=2), "must be lists"),
    "huge": (entry(shape=[2**63, 2**63]), "whole numbers of 0 or more"),
    "huge and empty": ({"a": {**A, "shape": [0, 2**47, 2**47], "data_offsets": [0, 0]}}, "which no array can have"),
    "many dimensions": (entry(shape=[1] * 100), "must be lists of at most 8"),
    "one offset": (entry(data_offsets=[8]), "does not fit the bytes"),
    "offsets from behind": (entry(data_offsets=[8, 0]), "does not fit the bytes"),
    "outside": ({"a": {**A, "data_offsets": [2**40, 2**40 + 8]}}, "a starts at byte 1,099,511,627,776 of the data"),
    "overlapping": (entry(shape=[3], data_offsets=[0, 12]), "b starts at byte 8 of the data, where the array before it "
                    "ends at 12"),
    "the same bytes": ({"a": A, "b": A}, "b starts at byte 0 of the data, where the array before it ends at 8"),
    "a gap": (entry(shape=[1], data_offsets=[0, 4]), "b starts at byte 8 of the data, where the array before it ends"),
    "a rest": ({"a": A}, "its arrays take 8 bytes, the file has 12 of them"),
    "too few": ({"a": {**A, "shape": [4], "data_offsets": [0, 16]}}, "its arrays take 16 bytes, the file has 12"),
    "a long name": ({"a" * 1000: A, "b": B}, "is longer than 500 or not printable"),
    "a name with an escape": ({"\x1b[2J": A, "b": B}, "is longer than 500 or not printable"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header(tmp_path, lie):
    header, message = LIES[lie]
    with pytest.raises(ValueError, match=message) as error:
        read_tensors(write(tmp_path / "file", header, bytes(12)))
    assert str(error.value).startswith(f"{tmp_path}/file cannot be read (") and len(str(error.value)) < 1000


def test_cut_anywhere_it_is_refused(tmp_path):
    whole = write(tmp_path / "file", {"a": A, "b": B}, bytes(12)).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "file").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be read"):
            read_tensors(tmp_path / "file")


@pytest.mark.parametrize("claimed", [100_000_000, MAX_HEADER + 1, 2**63, 2**64 - 1])
def test_a_huge_header_is_not_even_read(tmp_path, claimed):
    with open(tmp_path / "file", "wb") as file:
        file.write(claimed.to_bytes(8, "little"))
        file.truncate(min(claimed, 100_000_000) + 100)  # a hole: it takes no room on the disk
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"a header of [\d,]+ bytes"):
        read_tensors(tmp_path / "file")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


WORST = {"keys": b'{"": 0%s}' % b"".join(b',"%x":{}' % i for i in range(170_000)), "objects": b"[" + b"{}," * 600_000,
         "numbers": b'{"a":{"dtype":"F32","data_offsets":[0,12],"shape":[' + b"1," * 990_000 + b"3]}}"}  # fmt: skip


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_headers_take_bounded_time(tmp_path, kind):
    with pytest.raises(ValueError, match="cannot be read"):
        read_tensors(write(tmp_path / "file", WORST[kind], bytes(12)))


def test_the_worst_header_takes_bounded_memory(tmp_path):
    write(tmp_path / "file", WORST["objects"])
    tracemalloc.start()
    with pytest.raises(ValueError, match="cannot be read"):
        read_tensors(tmp_path / "file")
    assert tracemalloc.get_traced_memory()[1] < 50 * MAX_HEADER
    tracemalloc.stop()


def agrees_with_the_library(path):
    """What is read is what the library reads; what the library refuses is refused, with a ValueError alone."""
    try:
        found = read_tensors(path)
    except ValueError as error:
        assert "cannot be read" in str(error)
    else:
        same(found, load_file(path))


@given(st.data())
def test_a_damaged_file_is_refused_or_read_as_the_library_reads_it(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("tensors") / "file"
    content = bytearray(write(path, {"a": A, "b": B}, bytes(range(12))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2) | st.sampled_from(
            [b"0", b"1", b"9", b"-", b"[", b"{", b'"', b",", b"F64", b"I8", b"8]}"]))  # fmt: skip
    path.write_bytes(content)
    agrees_with_the_library(path)


numbers = st.integers(0, 20) | st.integers() | st.floats() | st.none() | st.booleans()
entries = st.fixed_dictionaries({}, optional={
    "dtype": st.sampled_from(["F32", "I8", "F64", "U16", "F8_E4M3", "C64", "F4"]) | st.text(max_size=3),
    "shape": st.lists(numbers, max_size=3) | numbers,
    "data_offsets": st.lists(st.integers(0, 24), min_size=2, max_size=2) | st.lists(numbers, max_size=3),
    "more": numbers,
})  # fmt: skip


headers = st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), entries | numbers, max_size=3)


@given(headers, st.integers(0, 24))
def test_any_header_is_refused_or_read_as_the_library_reads_it(tmp_path_factory, header, size):
    agrees_with_the_library(write(tmp_path_factory.mktemp("tensors") / "file", header, bytes(size)))


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_read_as_the_library_reads_them(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("tensors") / "file"
    path.write_bytes(content)
    agrees_with_the_library(path)
