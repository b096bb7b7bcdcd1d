"""The planner of products and the binding, on a cublasLt in numpy: column-major, strict, with poisoned outputs."""

import ctypes
import re
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_cublaslt import FakeCublasLt
from tests.fake_cupy.memory import copied
from tinyllm import precision
from tinyllm.kernels.cuda import cublaslt, products
from tinyllm.kernels.cuda.products import Operand, plan, product

BFLOAT = np.dtype(ml_dtypes.bfloat16)
HEADERS = [Path(folder, "cublasLt.h") for folder in (
    "/usr/local/cuda/include", *(f"{path}/nvidia/cu13/include" for path in sys.path))]  # fmt: skip
EPSILON = {"fp32": 0, "tf32": 2**-11, "bf16": 0}  # how wrong a float32 number is that goes into a product
ROUNDING = {"float32": 2**-24, "bfloat16": 2**-8}  # and one that comes out

sizes = st.one_of(st.integers(1, 9), st.sampled_from([16, 24, 33, 64]))


def laid(shape, layout, dtype, seed):
    """A (…, R, C) array of normal numbers in one of the layouts that are read as they lie there."""
    if layout.endswith("transposed"):
        as_it_lies = "part of more" if layout.startswith("part") else "rows"
        return laid((*shape[:-2], *shape[:-3:-1]), as_it_lies, dtype, seed).swapaxes(-1, -2)
    numbers = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "rows":
        return numbers
    more = np.full((*shape[:-1], shape[-1] + 3), np.nan, dtype)
    more[..., :-3] = numbers
    return more[..., :-3]


def there(cupy, x):
    """The same on the stand-in, with the same strides."""
    whole = x if x.base is None else x.base
    memory = copied(whole).view(np.uint8).reshape(-1)
    return cupy.ndarray(np.ndarray(x.shape, x.dtype, memory, x.ctypes.data - whole.ctypes.data, x.strides))


def beside(x, n):
    """The n numbers behind each row of x."""
    return np.lib.stride_tricks.as_strided(x[..., -1:]._host, (*x.shape[:-1], n + 1), x.strides)[..., 1:]


LAYOUTS = ["rows", "transposed", "part of more", "part of more, transposed"]


@st.composite
def problems(draw):
    M, N, K = draw(sizes), draw(sizes), draw(sizes)
    batch = draw(st.sampled_from([None, None, 1, 3]))
    kinds = draw(st.sampled_from(products.DTYPES))
    return M, N, K, batch, kinds, draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS))


def test_a_product_is_what_it_says(cupy):
    @given(problems(), st.sampled_from(precision.PRECISIONS), st.booleans(), st.booleans(),
           st.sampled_from([None, "bias", "sums"]), st.booleans())  # fmt: skip
    def check(problem, policy, add, scaled, vector, fused):
        cupy.cublaslt.refuses = () if fused else {products.BIAS, products.BIAS_GRADIENT}
        cublaslt._lt.cache_clear()
        with precision.precision(policy):
            check_product(cupy, *problem, policy, add, scaled, vector)

    check()


def check_product(cupy, M, N, K, batch, kinds, layout_a, layout_b, policy, add, scaled, vector):
    of = lambda *shape: shape if batch is None or vector else (batch, *shape)
    a, b = laid(of(M, K), layout_a, kinds[0], 1), laid(of(K, N), layout_b, kinds[1], 2)
    out = laid(of(M, N), "part of more", kinds[2], 3)
    before, bias, sums = out.astype(np.float64), laid((N,), "rows", kinds[2], 4), np.full(N, np.nan, kinds[2])
    if not add:
        out[...] = np.nan
    options = {"bias": {"bias": there(cupy, bias)}, "sums": {"sums": there(cupy, sums)}}.get(vector, {})
    if scaled:
        options["alpha"] = cupy.asarray(np.float32(0.5))
    out = there(cupy, out)
    assert product(there(cupy, a), there(cupy, b), out, add=add, **options) is out
    assert np.isnan(beside(out, 3).astype(np.float32)).all(), "nothing is written beside the output"

    a, b, bias = (x.astype(np.float64) for x in (a, b, bias))
    exact, scale = (0.5 if scaled else 1) * (a @ b), abs(a) @ abs(b)
    if add:
        exact, scale = exact + before, scale + abs(before)
    if vector == "bias":
        exact, scale = exact + bias, scale + abs(bias)
    epsilon = 2 * EPSILON[policy] * (kinds[0] == "float32") + (K + 2) * 2**-24
    assert (abs(out.get() - exact) <= (epsilon + 2 * ROUNDING[kinds[2]]) * scale).all()
    if vector == "sums":
        bound = (epsilon + ROUNDING[kinds[2]]) * abs(b).sum(axis=0)
        assert (abs(options["sums"].get() - b.sum(axis=0)) <= bound).all()


def test_a_plan_says_it_in_columns():
    """The weight's gradient of a linear layer: xᵀ (I, N) @ dy (N, O) into float32, with the bias's."""
    x, dy, place = np.empty((6, 4), BFLOAT), np.empty((6, 8), BFLOAT), np.empty((4, 8), np.float32)
    made = plan(x.T, dy, place, epilogue=products.BIAS_GRADIENT, policy="bf16")
    assert made.a == Operand(rows=8, columns=6, leading=8, stride=0, flag=0), "dyᵀ, as it lies there"
    assert made.b == Operand(rows=4, columns=6, leading=4, stride=0, flag=1), "x, flagged as transposed"
    assert made.d == Operand(rows=8, columns=4, leading=8, stride=0)
    assert made.sizes == (8, 4, 6) and (made.type, made.out_type, made.compute) == (14, 0, 68)


@pytest.mark.parametrize("policy, dtype, compute", [("fp32", "float32", 68), ("tf32", "float32", 77),
                                                    ("bf16", "float32", 68), ("tf32", BFLOAT, 68)])  # fmt: skip
def test_the_policy_says_what_float32_is_rounded_to(policy, dtype, compute):
    assert plan(*[np.empty((8, 8), dtype)] * 3, policy=policy).compute == compute


def test_what_has_no_plan_is_refused():
    f = lambda *shape, dtype=np.float32: np.empty(shape, dtype)
    for a, b, out, message in [
        (f(2, 3), f(4, 5), f(2, 5), r"\(2, 3\) @ \(4, 5\) does not make \(2, 5\)"),
        (f(2, 3), f(3, 5), f(2, 4), "does not make"),
        (f(4, 2, 3), f(3, 3, 5), f(4, 2, 5), "the batches differ"),
        (f(4, 2, 3), f(3, 5), f(2, 5), "does not make"),
        (f(3), f(3, 5), f(5), "are no matrices"),
        (f(0, 3), f(3, 5), f(0, 5), "is empty"),
        (f(2, 6)[:, ::2], f(3, 5), f(2, 5), "make it C-contiguous"),
        (f(2, 3)[::-1], f(3, 5), f(2, 5), "make it C-contiguous"),
        (f(2, 3), f(3, 5), f(5, 2).T, "out .* must be row-major"),
        (f(4, 2, 3), f(4, 3, 5), np.lib.stride_tricks.as_strided(f(40), (4, 2, 5), (20, 20, 4)), "overlap"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            plan(a, b, out)
    for kinds in [("float32", BFLOAT, "float32"), ("float32", "float32", BFLOAT), ("float64",) * 3]:
        with pytest.raises(TypeError, match="there are float32 @ float32 into float32, bfloat16"):
            plan(*(np.empty((4, 4), kind) for kind in kinds))


def test_one_product_is_one_launch_and_may_be_captured(cupy):
    """What allocates or asks cublasLt's heuristic has happened before: a plan is set up once."""
    a, b = cupy.ones((8, 16), "float32"), cupy.ones((16, 8), "float32")
    out, bias = cupy.ones((8, 8), "float32"), cupy.ones(8, "float32")
    product(a, b, out, bias=bias)
    things = len(cupy.cublaslt.things)
    before = cupy.counts
    with cupy.capture(), cupy.step():
        product(a, b, out, bias=bias)
        product(a, b, out, bias=bias, add=True)
    made = cupy.counts - before
    assert (made.launches, made.products, made.uploads, made.downloads) == (2, 2, 0, 0)
    assert len(cupy.cublaslt.things) == things
    assert (out.get() == 34).all()


def test_one_plan_serves_other_arrays(cupy):
    """What was set up holds no address: neither of the matrices nor of the vector."""
    for number in (1.0, 2.0, 3.0):
        a, bias = cupy.full((8, 16), number, "float32"), cupy.full(8, 10 * number, "float32")
        sums = cupy.empty(8, "float32")
        assert (product(a, a.T, bias=bias).get() == 16 * number**2 + 10 * number).all()
        product(a.T, a[:, :8], sums=sums)
        assert (sums.get() == 8 * number).all()
    assert len(cublaslt._lt(cupy, cublaslt.library, 0).products) == 2


def test_an_address_less_aligned_has_a_plan_of_its_own(cupy):
    memory = cupy.zeros(1024, "float32")
    out = cupy.ones((8, 8), "float32")
    for first in range(0, 16):
        a = memory[first : first + 64].reshape(8, 8)
        product(a, a, out)
        assert (out.get() == 0).all(), cupy.cublaslt.why


def test_what_is_refused_with_an_epilogue_is_said_once(cupy, caplog):
    cupy.cublaslt.refuses = {products.BIAS}
    a, bias = cupy.ones((4, 4), "float32"), cupy.ones(4, "float32")
    before = cupy.counts
    for _ in range(2):
        assert (product(a, a, bias=bias).get() == 5).all()
    made = cupy.counts - before
    assert made.products == 2 and len(caplog.records) == 1
    assert "not supported (status 15). A kernel of our own does what its epilogue would" in caplog.text
    cupy.cublaslt.refuses = {products.DEFAULT}
    with pytest.raises(RuntimeError, match="cublasLt has no kernel for Plan.*not supported"):
        product(a, a[:2].swapaxes(0, 1))


# what is NVIDIA's


@pytest.mark.parametrize("name, value", [
    ("CUBLASLT_MATMUL_DESC_POINTER_MODE", cublaslt.POINTER_MODE), ("CUBLASLT_MATMUL_DESC_TRANSA", cublaslt.TRANSA),
    ("CUBLASLT_MATMUL_DESC_TRANSB", cublaslt.TRANSB), ("CUBLASLT_MATMUL_DESC_EPILOGUE", cublaslt.EPILOGUE),
    ("CUBLASLT_MATMUL_DESC_BIAS_POINTER", cublaslt.BIAS_POINTER),
    ("CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT", cublaslt.BATCH_COUNT),
    ("CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET", cublaslt.STRIDED_BATCH_OFFSET),
    ("CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES", cublaslt.MAX_WORKSPACE_BYTES),
    *((f"CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_{x}_BYTES", n) for x, n in zip("ABCD", cublaslt.MIN_ALIGNMENT_BYTES)),
    ("CUBLASLT_EPILOGUE_DEFAULT", products.DEFAULT), ("CUBLASLT_EPILOGUE_BIAS", products.BIAS),
    ("CUBLASLT_EPILOGUE_BGRADA", products.BIAS_GRADIENT),
])  # fmt: skip
def test_numbers_are_those_of_the_header(name, value):
    header = next(filter(Path.is_file, HEADERS), None) or pytest.skip("no cublasLt.h here")
    assert re.search(rf"\b{name} = {value},", header.read_text("utf-8", "replace"))


def test_the_library_takes_what_we_set_and_the_emulator_agrees():
    """Descriptors need no GPU: each attribute, in our size, and in a wrong one."""
    try:
        real = cublaslt.declared(cublaslt.library())
    except (ImportError, RuntimeError) as error:  # pathfinder's own say what is missing
        pytest.skip(f"no cublasLt here: {error}".partition("\n")[0])
    for functions in (real, cublaslt.declared(FakeCublasLt())):
        for kind, made_of, sizes in [
            ("MatmulDesc", (68, 0), {cublaslt.TRANSA: 4, cublaslt.TRANSB: 4, cublaslt.EPILOGUE: 4,
                                     cublaslt.POINTER_MODE: 4, cublaslt.BIAS_POINTER: 8}),
            ("MatrixLayout", (14, 8, 8, 8), {cublaslt.BATCH_COUNT: 4, cublaslt.STRIDED_BATCH_OFFSET: 8}),
            ("MatmulPreference", (), {cublaslt.MAX_WORKSPACE_BYTES: 8,
                                      **dict.fromkeys(cublaslt.MIN_ALIGNMENT_BYTES, 4)}),
        ]:  # fmt: skip
            thing, value = ctypes.c_void_p(), ctypes.c_uint64(1)
            assert functions[f"{kind}Create"](ctypes.byref(thing), *made_of) == 0
            for attribute, size in sizes.items():
                asked = [functions[f"{kind}SetAttribute"](thing, attribute, ctypes.byref(value), n) for n in (size, 3)]
                assert asked == [0, cublaslt.INVALID_VALUE], (kind, attribute)
