"""embedding.cu against the plain op: ids that repeat as words do, or all the same; in order, into a tied table."""

import numpy as np
import pytest

from tests.cuda.checks import Sink, check_kernel
from tests.op_cases import Case
from tinyllm import Tensor, ops
from tinyllm.autograd import gradients
from tinyllm.kernels.cuda import embedding

both = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def rng(*seed):
    return np.random.default_rng(seed)


def words(n, V):
    """Ids of which some are very frequent and most are not there at all."""
    return np.minimum(rng(n, V).zipf(1.3, n) - 1, V - 1)


def check(cupy):
    """More positions of one id than a warp has lanes, more columns than it has at a time."""
    ids = np.where(rng(0).random(600) < 0.9, 1, 0)
    check_kernel("embedding", Case([ids, rng(5).standard_normal((2, 264))], None), "float32", floor=1)


@both
@pytest.mark.parametrize("shape, V, C", [((0,), 3, 8), ((1,), 1, 1), ((3, 5), 4, 3), ((2, 64), 50, 24), ((129,), 2, 40),
                                         ((257,), 1000, 8), ((4, 33), 7, 260), ((6,), 5, 0)], ids=str)  # fmt: skip
def test_equals_the_op(shape, V, C, dtype, cupy):
    ids = rng(V).integers(0, V, shape)
    check_kernel("embedding", Case([ids, rng(C).standard_normal((V, C))], None), dtype)


@both
@pytest.mark.parametrize("kind", ["int64", "int32", "uint32", "uint8", "int16"])
def test_every_kind_of_integer_and_the_ids_of_a_text(kind, dtype, cupy):
    ids = words(300, 200).astype(kind)
    check_kernel("embedding", Case([ids, rng(5).standard_normal((200, 16))], None), dtype)


@pytest.mark.parametrize("n, V, dtype", [(600, 2, "float32"), (65, 1, "bfloat16"), (33, 1, "float32"),
                                         (32, 1, "float32"), (31, 1, "bfloat16"), (200, 40, "bfloat16")])  # fmt: skip
def test_one_id_that_is_everywhere(n, V, dtype, cupy):
    """More of it than a warp takes, than a block of warps takes; with so few ids a block has 16 warps, else 4."""
    ids = np.where(rng(n).random(n) < 0.9, V - 1, rng(n, 1).integers(0, V, n))
    check_kernel("embedding", Case([ids, rng(5).standard_normal((V, 12))], None), dtype, floor=1)


def test_more_positions_than_are_sorted_together(cupy, monkeypatch):
    monkeypatch.setattr(embedding, "SORTED", 100)
    check_kernel("embedding", Case([words(350, 60), rng(5).standard_normal((60, 8))], None), "float32")


def test_parts_of_a_batch_and_of_a_table(cupy):
    """Slices of both, as of a batch that is cut into parts: addresses that no pack has, rows that are apart."""
    ids, weight = words(60, 20).reshape(6, 10), rng(1).standard_normal((20, 24)).astype("float32")
    for part, table in [((slice(1, 3),), (slice(1, None),)), ((slice(None), slice(2, 7)), (slice(None), slice(1, 9)))]:
        there = Tensor(cupy.asarray(weight)[table], requires_grad=True)
        here = np.minimum(ids, 18)
        y = ops.embedding(Tensor(cupy.asarray(here)[part]), there)
        assert np.array_equal(y.data.get(), weight[table][here[part]])
        dx = gradients(y.sum())[there].get()
        assert np.array_equal(dx[:, 0], np.bincount(here[part].ravel(), minlength=len(weight[table])))


def test_rows_that_no_id_names_are_not_touched(cupy):
    """The head's share of a tied table is in its gradient already: what is not read need not be written."""
    ids, V = np.array([3, 8, 3]), 10
    weight = Tensor(cupy.asarray(np.ones((V, 4), "float32")), requires_grad=True)
    y, sink = ops.embedding(Tensor(cupy.asarray(ids)), weight), Sink(True)
    untouched = np.setdiff1d(np.arange(V), ids)
    place = sink.place(weight).array
    place._host[untouched] = poison = np.float32(np.nan)
    before = cupy.counts
    gradients(y, cupy.asarray(np.ones((3, 4), "float32")), sink)
    assert (cupy.counts - before).launches == 2
    assert np.isnan(place.get()[untouched]).all() and np.isnan(poison)
    assert place.get()[[3, 8]].tolist() == [[3] * 4, [2] * 4]


def test_the_order_of_a_sum_is_that_of_the_positions(cupy):
    """1e8 + 1 − 1e8 is 0 in float32, in another order 1."""
    for values, total in [([1e8, 1, -1e8], 0), ([1e8, -1e8, 1], 1)]:
        weight = Tensor(cupy.asarray(np.zeros((2, 1), "float32")), requires_grad=True)
        y = ops.embedding(Tensor(cupy.asarray(np.array([1, 1, 1]))), weight)
        dy = cupy.asarray(np.array(values, "float32")[:, None])
        assert gradients(y, dy)[weight].get().tolist() == [[0], [total]]


def test_the_order_is_that_of_a_stable_sort(cupy):
    from tinyllm.kernels.cuda.compile import launch

    for n, V in [(1, 1), (31, 3), (128, 5), (129, 1000), (700, 40)]:
        ids = words(n, V)
        order, ordered = cupy.empty((2, n), "int32")
        launch("embedding", "embedding_order", "float32", (-(-n // 128),), (32, 8), order, ordered,
               cupy.asarray(ids), np.int32(2), np.int32(n))  # fmt: skip
        assert np.array_equal(order.get(), np.argsort(ids, kind="stable"))
        assert np.array_equal(ordered.get(), np.sort(ids))


def test_ids_that_are_no_numbers_are_refused(cupy):
    with pytest.raises(TypeError, match="ids must be integers, not booleans"):
        ops.embedding(Tensor(cupy.asarray(np.ones(3, bool))), Tensor(cupy.asarray(np.ones((2, 4), "float32"))))


def test_token_and_position_embeddings_of_a_batch(cupy):
    """wte(ids) + wpe[:T]: two launches forward, four backward: the batch's sum, the positions', two for the tokens."""
    wte, wpe = (Tensor(cupy.asarray(rng(n).standard_normal((n, 16)).astype("float32")), True) for n in (30, 9))
    ids, sink = Tensor(cupy.asarray(words(24, 30).reshape(3, 8))), Sink(True)
    sink.place(wte), sink.place(wpe)
    before = cupy.counts
    x = ops.embedding(ids, wte) + wpe[:8]
    assert (cupy.counts - before).launches == 2
    dy = cupy.asarray(np.ones(x.shape, "float32"))
    before = cupy.counts
    gradients(x, dy, sink)
    assert (cupy.counts - before).launches == 4
    assert sink.place(wpe).array.get()[:, 0].tolist() == [4] * 8 + [1]
