"""Which library an array belongs to, how it is moved, and ids that fit their table."""

import sys

import numpy as np
import pytest

from tests.fake_cupy import stand_in
from tinyllm import Tensor
from tinyllm.backend import array_module, check_ids, is_array, to, to_numpy


@pytest.fixture
def cupy():
    with stand_in() as module:
        yield module


def test_array_module_is_the_library_that_made_the_array(cupy):
    assert array_module(np.ones(2)) is np
    assert array_module(np.float32(1)) is np
    assert array_module(np.ones(2).view(np.recarray)) is np
    assert array_module(cupy.asarray(np.ones(2))) is cupy


def test_what_an_array_is(cupy):
    assert is_array(np.ones(2)) and is_array(np.array(1)) and is_array(cupy.asarray([1]))
    assert not any(map(is_array, [1, 1.0, True, [1.0], np.float32(1), None, "text", Tensor([1.0])]))


def test_to_copies_only_between_libraries(cupy):
    host = np.arange(3)
    device = to(host, "cupy")
    assert isinstance(device, cupy.ndarray) and to(device, "cupy") is device
    assert to(host, "numpy") is host and to_numpy(host) is host
    for back in (to(device, "numpy"), to_numpy(device)):
        assert type(back) is np.ndarray and (back == host).all()


def test_a_tensor_moves_with_its_wish_for_a_gradient(cupy):
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert x.to("numpy") is x
    moved = x.to("cupy")
    assert isinstance(moved.data, cupy.ndarray) and moved.requires_grad


def test_an_unknown_backend_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="backend 'jax' is unknown; choose one of numpy, cupy"):
        to(np.ones(2), "jax")


def test_missing_cupy_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes `import cupy` fail also where it is installed
    with pytest.raises(ImportError, match=r"backend 'cupy' needs cupy: pip install 'tinyllm-numpy\[cuda\]'") as error:
        Tensor([1.0]).to("cupy")
    assert isinstance(error.value.__cause__, ImportError)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint8, np.uint64])
def test_ids_of_the_table_pass(dtype):
    check_ids(np.array([[0, 4], [2, 1]], dtype), 5, "token id")
    check_ids(np.array(4, dtype), 5, "token id")
    check_ids(np.array([], dtype), 5, "token id")
    check_ids(np.array([127], dtype), 50257, "token id")


@pytest.mark.parametrize(
    "ids, bad",
    [([0, 5], "5"), ([-1, 0], "-1"), ([[0, 1], [2, -100]], "-100"), (7, "7"), ([2**62], str(2**62))],
    ids=["one too large", "wraps to the last", "second row", "0-d", "huge"],
)
def test_ids_outside_the_table_are_refused_and_named(ids, bad):
    with pytest.raises(IndexError, match=f"^token id {bad} is outside 0 … 4$"):
        check_ids(np.array(ids), 5, "token id")


def test_ids_on_a_gpu_are_not_looked_at(cupy):
    check_ids(cupy.asarray(np.array([99])), 5, "token id")  # that would be to wait for the GPU
    assert cupy.counts.downloads == 0
