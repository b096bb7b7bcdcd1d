"""The shim is a GPU as far as kernels can tell, and refuses what a GPU would do something undefined with."""

import numpy as np
import pytest

from tests.cuda.shim import ShimError, compiled, compiler
from tests.cuda.subjects import common_kernels
from tests.fake_cupy.memory import copied, guarded

pytestmark = pytest.mark.skipif(not compiler(), reason="no g++ here: no kernel can run on the CPU")
X = np.random.default_rng(0).standard_normal(64).astype(np.float32)


def run(name, grid, block, *args, **options):
    common_kernels()[name](grid, block, args, **options)
    return args[0]


def test_every_thread_knows_who_it_is():
    block, grid = (4, 3, 2), (2, 3, 2)
    out = run("who", grid, block, guarded((2, 3, 2, 2, 3, 4), "int32"))
    bz, by, bx, tz, ty, tx = np.indices(out.shape)
    assert np.array_equal(out, ((bz * 10 + by) * 10 + bx) * 1000 + (tz * 10 + ty) * 10 + tx)


def test_lanes_exchange_what_they_have():
    out = run("shuffles", (1,), (64,), guarded((8, 64), "float32"), X)
    lane, warp = np.arange(64) % 32, np.arange(64) // 32 * 32
    sources = [5, lane ^ 3, np.where(lane < 28, lane + 4, lane), np.where(lane > 3, lane - 4, lane),
               np.where(lane % 8 < 7, lane + 1, lane), lane ^ 8]  # fmt: skip
    for row, source in zip(out, sources):
        assert np.array_equal(row, X[warp + source])
    np.testing.assert_allclose(out[6], X.reshape(2, 32).sum(axis=1).repeat(32), rtol=1e-5)
    assert np.array_equal(out[7], X.reshape(2, 32).max(axis=1).repeat(32))


@pytest.mark.parametrize("x", [X > 0, np.zeros(64), np.ones(64), np.arange(64) > 31], ids=["some", "no", "all", "half"])
def test_votes(x):
    x = x.astype(np.int32)
    out = run("votes", (1,), (64,), guarded((6, 64), "int32"), x)
    warps = x.reshape(2, 32)
    ballots = (warps.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(axis=1)
    assert np.array_equal(out[0].view(np.uint32), ballots.repeat(32))
    assert np.array_equal(out[1], warps.any(axis=1).repeat(32)) and np.array_equal(out[2], warps.all(axis=1).repeat(32))
    assert (out[3] == x.sum()).all() and (out[4] == x.any()).all() and (out[5] == x.all()).all()


def test_shared_memory_holds_nothing_of_other_blocks():
    out = run("poison", (7,), (32,), np.zeros((7, 2, 32), np.float32), shared=128)
    assert np.isnan(out).all()


def test_blocks_come_in_an_order_that_the_seed_decides():
    def order(seed):
        return tuple(run("order", (9,), (32,), guarded(9, "int32"), np.zeros(1, np.int32), seed=seed).tolist())

    assert order(1) == order(1) and len({order(seed) for seed in range(20)}) > 15
    assert all(sorted(order(seed)) == list(range(9)) for seed in range(5))


@pytest.mark.parametrize(
    "kind, n, message",
    [
        (0, 0, r"deadlock in block \(0, 0, 0\): 1 threads have returned, 63 threads wait at .*kernels.cu:\d+"),
        (1, 0, r"divergent barrier: threads wait at kernels.cu:\d+ and at kernels.cu:\d+"),
        (2, 0, r"deadlock in block .*: 2 threads have returned, 62 threads wait at kernels.cu:\d+"),
        (3, 0, r"divergent warp: lanes of one mask meet at \S+ and at \S+"),
        (4, 64, "an address outside its array"),
        (5, 64, "an address outside its array"),
        (6, 4, "an index outside its array"),
        (7, 0, "a misaligned address"),
        (8, 0, "a lane that its own mask leaves out|a shuffle reads a lane outside its mask"),
        (9, 64, "an address outside its array"),
        (10, 0, "a lane that its own mask leaves out"),
    ],
)
def test_what_is_undefined_is_refused(kind, n, message):
    with pytest.raises(ShimError, match=f"fault: .*({message})"):
        run("fault", (1,), (64,), guarded(64, "float32"), copied(X), np.int32(kind), np.int32(n), shared=256)
    run("fault", (1,), (64,), guarded(64, "float32"), copied(X), np.int32(100), np.int32(0))  # and all is well again


def test_a_block_without_whole_warps():
    with pytest.raises(ShimError, match="a mask with lanes that are not there, at kernels.cu"):
        run("fault", (1,), (16,), guarded(64, "float32"), copied(X), np.int32(11), np.int32(0), shared=256)


def test_more_local_memory_than_a_stack_has():
    with pytest.raises(ShimError, match="a stack that is too small|an address outside its array"):
        run("deep", (1,), (32,), guarded(32, "float32"), np.int32(0))


def test_a_fault_tells_who():
    with pytest.raises(ShimError, match=r"in block \(0, 0, 0\), thread \(\d+, 0, 0\)"):
        run("fault", (1,), (64,), guarded(64, "float32"), copied(X), np.int32(4), np.int32(64))


@pytest.mark.parametrize(
    "args, message",
    [
        ((X, X, np.int32(0)), "takes 4 arguments, got 3"),
        ((X.astype("f8"), X, np.int32(0), np.int32(0)), r"argument 0 is f4\*, got float64"),
        ((X, X, 0, np.int32(0)), "argument 2 is i4, got int"),
        ((X, X, np.int64(0), np.int32(0)), "argument 2 is i4, got int64"),
        ((np.float32(0), X, np.int32(0), np.int32(0)), r"argument 0 is f4\*, got float32"),
    ],
)
def test_arguments_are_of_the_kernels_types(args, message):
    with pytest.raises(ShimError, match=message):
        run("fault", (1,), (64,), *args)


@pytest.mark.parametrize("grid, block, shared", [((0,), (32,), 0), ((1,), (2048,), 0), ((1, 70000), (32,), 0),
                                                 ((1,), (32, 1, 65), 0), ((1,), (32,), 300_000)])  # fmt: skip
def test_a_launch_no_gpu_would_take(grid, block, shared):
    with pytest.raises(ShimError, match="no GPU has a grid"):
        run("who", grid, block, X, shared=shared)


def test_a_kernel_that_does_not_end():
    body = "while (*reinterpret_cast<volatile int*>(x) == 0) {}"
    code = f'extern "C" __global__ void endless(int* x) {{ {body} }}'
    endless = compiled(code, ("-USHIM_SECONDS", "-DSHIM_SECONDS=1"))
    with pytest.raises(ShimError, match="endless: no end in sight"):
        endless["endless"]((1,), (32,), (np.zeros(1, np.int32),))


def test_a_source_that_does_not_compile_and_an_atomic_on_floats():
    for body, message in (("nonsense", "does not compile.*nonsense"), ("atomicAdd(x, 1.f);", "in a fixed order")):
        with pytest.raises(ShimError, match=f"(?s){message}"):
            compiled(f'extern "C" __global__ void bad(float* x) {{ {body} }}')
