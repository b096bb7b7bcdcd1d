"""The stand-in refuses what cupy refuses, sees what cupy would do in silence, and counts."""

import copy

import numpy as np
import pytest

from tests.fake_cupy import CaptureRefused, Counts, HiddenSynchronisation

HOST = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: np.exp(x),
        lambda x: np.concatenate([x]),
        lambda x: np.asarray(x),
        lambda x: np.sum(x),
        lambda x: x + HOST,
        lambda x: HOST * x,
        lambda x: x @ HOST.T,
        lambda x: x[np.array([0])],
        lambda x: x[[0]],
        lambda x: x.__setitem__(0, HOST[0]),
        lambda x: range(3)[x[0, 0]],
        lambda x: HOST[x > 0],
    ],
)
def test_numpy_and_its_arrays_do_not_mix_with_it(cupy, use):
    with pytest.raises(TypeError):
        use(cupy.asarray(HOST))


def test_functions_of_cupy_take_no_numpy_arrays(cupy):
    for call in (lambda: cupy.exp(HOST), lambda: cupy.stack([HOST]), lambda: cupy.where(HOST > 0, 1, 0)):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("name", ["std", "dot", "setflags", "tobytes", "nonzero"])
def test_what_is_not_known_to_be_there_is_missing(cupy, name):
    assert not hasattr(cupy.asarray(HOST), name)


def test_max_has_no_initial_as_cupys_has_none(cupy):
    with pytest.raises(TypeError):
        cupy.asarray(HOST).max(initial=0)


WAITING = [lambda x: float(x.sum()), lambda x: int(x[0, 0]), lambda x: bool(x[0, 0]), lambda x: x[0, 0].item(),
           lambda x: x.tolist(), lambda x: x.get(), lambda x: x[x > 1], lambda x: f"{float(x.max())}",
           lambda x: x.__setitem__(x > 1, x[0, 0])]  # fmt: skip


@pytest.mark.parametrize("wait", WAITING)
def test_whatever_waits_is_counted_and_refused_inside_a_step(cupy, wait):
    x = cupy.asarray(HOST)
    before = cupy.counts
    wait(x)
    assert (cupy.counts - before).downloads == 1
    with cupy.step(), pytest.raises(HiddenSynchronisation):
        wait(x)
    with cupy.capture(), pytest.raises(CaptureRefused):
        wait(x)
    wait(x)  # allowed again


def test_a_capture_refuses_copies_and_the_products_of_cublas(cupy):
    x = cupy.asarray(HOST)
    with cupy.capture():
        y = cupy.exp(x) * 2 + x.sum(axis=0)
        for call in (lambda: cupy.asarray(HOST), lambda: x @ x.T):
            with pytest.raises(CaptureRefused):
                call()
    assert np.array_equal(y.get(), np.exp(HOST) * 2 + HOST.sum(axis=0))


def test_a_number_for_places_that_an_array_names_is_copied(cupy):
    x, rows = cupy.asarray(HOST), cupy.asarray(np.array([0, 1]))
    before = cupy.counts
    x[0] = 5.0
    x[:, 1] = 4.0
    x[rows] = x[rows] * 2
    assert (cupy.counts - before).uploads == 0
    x[rows, rows] = 0.0
    assert (cupy.counts - before).uploads == 1


def test_views_start_no_kernel_and_copies_do(cupy):
    x = cupy.asarray(HOST)
    assert cupy.counts == Counts(uploads=1, bytes=HOST.nbytes)
    for view in (x.T, x[0], x[:, 1:], x.reshape(3, 2), x.swapaxes(0, 1), cupy.moveaxis(x, 0, 1), x.ravel(),
                 cupy.broadcast_to(x, (4, 2, 3)), *cupy.split(x, [1]), x.astype(np.float32, copy=False)):  # fmt: skip
        assert type(view) is cupy.ndarray
    assert cupy.counts.launches == 0
    x.T.reshape(-1), x.astype(np.float64), x + 1, x.sum()
    x *= 2
    x[0] = 1
    assert cupy.counts.launches == 6 and cupy.counts.products == 0
    x @ x.T
    assert cupy.counts.launches == 7 and cupy.counts.products == 1


def test_every_result_is_an_array_also_of_one_number(cupy):
    x = cupy.asarray(HOST)
    assert type(x.sum()) is cupy.ndarray and x.sum().shape == () and x.sum().dtype == np.float32
    assert (x * 2.0).dtype == np.float32 and (x * np.float64(2)).dtype == np.float64


def test_it_is_gone_afterwards(cupy):
    assert copy.copy(cupy.counts) == Counts()
