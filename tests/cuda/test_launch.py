"""compile.py, and what is to cupy's likeness for it: the stand-in's RawModule, its arrays and where they lie."""

import subprocess
import sys

import numpy as np
import pytest

from tests.cuda.shim import ShimError
from tests.fake_cupy.memory import guarded
from tinyllm.autograd import Place
from tinyllm.kernels.cuda.compile import contiguous, counters, function, launch, packed
from tinyllm.kernels.cuda.places import gradient, target

GELU = ("gelu", "gelu_tanh_forward", "float32", (1,), (32,))
CODE = """
extern "C" __global__ void fill(float* out, int n, float value) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = value;
}
"""


@pytest.fixture
def fill(cupy):
    return cupy.RawModule(code=CODE, options=("-std=c++17",)).get_function("fill")


def test_a_call_is_a_launch(cupy, fill):
    out = cupy.empty((2, 3), "float32")
    before = cupy.counts
    with cupy.step():
        fill((1,), (32,), (out, np.int32(5), np.float32(2)))
    assert (cupy.counts - before).launches == 1
    assert np.array_equal(out.get(), [[2, 2, 2], [2, 2, np.nan]], equal_nan=True)


def test_arguments_are_what_cupy_passes_on(cupy, fill):
    out, host = cupy.empty(3, "float32"), np.zeros(3, np.float32)
    for args in ((host, np.int32(3), np.float32(1)), (out, "3", np.float32(1)), [out, np.int32(3), np.float32(1)]):
        with pytest.raises(TypeError):
            fill((1,), (32,), args)
    with pytest.raises(TypeError):
        fill(1, 32, (out, np.int32(3), np.float32(1)))
    with pytest.raises(ShimError, match="argument 1 is i4, got int"):  # cupy would pass 8 bytes
        fill((1,), (32,), (out, 3, np.float32(1)))
    with pytest.raises(ShimError, match="an address outside its array"):
        fill((1,), (32,), (out, np.int32(3000), np.float32(1)))
    reverse = cupy.RawModule(code=CODE.replace("out[i]", "out[-i]")).get_function("fill")
    with pytest.raises(ShimError, match="an address outside its array"):
        reverse((1,), (32,), (out, np.int32(3000), np.float32(1)))


def test_memory_is_poison_and_making_it_no_launch(cupy):
    before = cupy.counts
    x, y = cupy.empty((3, 5), "float32"), cupy.empty(4, "int32")
    assert (cupy.counts - before).launches == 0
    assert np.isnan(x.get()).all() and (y.get() == -1).all() and cupy.empty((0, 3), "float32").shape == (0, 3)


@pytest.mark.parametrize("shape", [(1,), (7,), (4096,), (3, 1000)], ids=str)
def test_memory_ends_where_the_array_ends_and_begins_at_a_pack(shape):
    x = guarded(shape, "float32")
    end = x.ctypes.data + x.nbytes
    assert x.ctypes.data % 16 == 0 and 0 <= -end % 4096 < 16


def test_a_view_knows_whose_it_is(cupy):
    x = cupy.empty((4, 6), "float32")
    assert x.base is None and (x + 1).base is None and x[1:].copy().base is None
    for part in (x[1:], x.T, x[1:][:, 2:], x.reshape(-1), x.swapaxes(0, 1), cupy.broadcast_to(x, (2, 4, 6))):
        assert part.base is x


def test_shared_memory_beyond_the_usual_is_asked_for_and_never_taken_back(cupy, fill):
    with pytest.raises(ValueError, match="set max_dynamic_shared_size_bytes"):
        fill((1,), (32,), (cupy.empty(1, "float32"), np.int32(1), np.float32(1)), shared_mem=50_000)
    kernels = [function("gelu", "gelu_tanh_forward", "float32", shared) for shared in (100_000, 60_000, 0)]
    assert {kernel.max_dynamic_shared_size_bytes for kernel in kernels} == {100_000}


def test_a_kernel_is_compiled_once(cupy):
    first = function("gelu", "gelu_tanh_forward", "float32")
    assert function("gelu", "gelu_tanh_forward", np.dtype("float32")) is first
    assert function("gelu", "gelu_tanh_forward", "bfloat16") is not first


def test_arrays_that_are_not_contiguous_are_refused_or_copied(cupy):
    x = cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    with pytest.raises(ValueError, match=r"must be C-contiguous, this \(3, 2\) one is not"):
        launch(*GELU, x.T)
    assert contiguous(x) is x and np.array_equal(contiguous(x.T).get(), x.get().T)


def test_what_can_be_read_in_packs(cupy):
    x = cupy.asarray(np.zeros((3, 8), np.float32))
    assert packed(8, x, None) == 1 and packed(6, x) == 0 and packed(4, x[:, 4:]) == 1 and packed(4, x[:, 3:]) == 0


def test_counters_are_zero_and_the_same_ones_again(cupy):
    first = counters(5)
    assert not first.get().any() and counters(7) is first and counters(5000).size >= 5000


def test_a_gradient_goes_to_its_place_where_it_fits(cupy):
    wide = Place(cupy.empty((2, 3), "float32"), True)
    assert target(wide, (2, 3), "float32", cupy) is wide and gradient(wide, wide, np.dtype("float32")) is wide
    for place in (None, Place(wide.array.astype("float64"), False), Place(cupy.empty((3, 2), "float32").T, False)):
        own = target(place, (2, 3), "float32", cupy)
        assert own is not place and not own.started and own.array.shape == (2, 3)
        assert gradient(own, place, np.dtype("float32")) is own.array
    assert gradient(None, wide, np.dtype("float32")) is None


def test_importing_the_kernels_loads_no_cupy():
    code = "import sys, tinyllm.kernels; print('cupy' in sys.modules, 'tinyllm.kernels.cuda' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False True\n"
