"""Training steps on the stand-in as one CUDA graph: the eager steps to the bit, nothing on the way but kernels."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from tests.fake_cupy import CaptureRefused
from tests.fake_cupy.stream import Stream
from tinyllm.finetune.ppo import PolicyTask
from tinyllm.observe import Observer, observe, plain_ops
from tinyllm.precision import precision
from tinyllm.tensor import Tensor
from tinyllm.training import graph
from tinyllm.training.batches import batches
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.data_parallel import workers
from tinyllm.training.graph import WARM_UP
from tinyllm.training.step import model_loss, train_step

CONFIG = TrainConfig(n_layer=1, n_head=2, n_embd=16, block_size=6, batch_size=2, gradient_accumulation=2,
                     dropout=0.2, max_iters=40, warmup_iters=3, learning_rate=1e-2, backend="cupy")  # fmt: skip
CORPUS = Corpus.of("the cat sat on the mat. the dog sat on the log.\n" * 5, CONFIG.block_size)
OFF = replace(CONFIG, graph="off")


def run(config, steps, state=None, loss_of=model_loss, stream=None, watch=lambda team: None):
    """[(loss, norm, metrics)] of some steps, the state after them, and what made them; watch(team) after each."""
    with precision(config.precision):
        state = state or initial_state(config, CORPUS)
        made, stream = [], stream or batches(CORPUS.train_ids, config, state.step)
        with workers(config, state, loss_of) as team:
            for _ in range(steps):
                made.append(train_step(state, config, next(stream), loss_of, team))
                watch(team)
    numbers = [(float(p.loss), float(p.grad_norm), {name: float(x) for name, x in p.metrics.items()}) for p in made]
    return numbers, state, team


def same(here, there):
    return all(np.array_equal(a, b) for a, b in zip(here.arrays().values(), there.arrays().values(), strict=True))


@pytest.mark.parametrize("kind", ["fp32", "tf32", "bf16"])
def test_replayed_steps_are_the_eager_ones_to_the_bit(kind, cupy):
    """With dropout, a rate that changes, and parts of a batch; every step's numbers stay those of that step."""
    eager, state, team = run(replace(OFF, precision=kind), WARM_UP + 4)
    assert team.graph is None
    replayed, same_state, team = run(replace(CONFIG, precision=kind), WARM_UP + 4)
    assert team.graph and team.why_not is None
    assert replayed == eager and len({loss for loss, *_ in eager}) == len(eager)
    assert same(state, same_state)


def test_a_replayed_step_is_one_launch_and_what_it_is_told(cupy):
    before = []

    def watch(team):
        before.append((cupy.counts, team.lane.pool.allocations, cupy.get_default_memory_pool().allocations))

    _, _, team = run(CONFIG, WARM_UP + 3, watch=watch)
    (was, owned, others), (now, owned_now, others_now) = before[-2:]
    made = now - was
    assert (made.graphs, made.downloads, made.products) == (1, 0, 0)
    assert made.uploads == 4, "ids, targets, counters of dropout, how AdamW moves what"
    assert made.launches == 3, "ids and targets to where the graph reads them; a copy of its numbers"
    assert owned_now == owned and others_now - others == 1, "the copy of its numbers"
    assert all(kind not in ("matmul", None) for kind in team.graph.kinds)


def test_it_goes_on_from_a_checkpoint_to_the_bit(cupy, tmp_path):
    whole, state, _ = run(CONFIG, 2 * WARM_UP + 3)
    half, stopped, _ = run(CONFIG, WARM_UP + 1)
    stopped.save(tmp_path / "state.safetensors")
    resumed = initial_state(CONFIG, CORPUS)
    resumed.load(tmp_path / "state.safetensors")
    rest, resumed, team = run(CONFIG, WARM_UP + 2, resumed)
    assert team.graph and half + rest == whole and same(state, resumed)


def test_weights_loaded_between_two_replays_are_trained_on(cupy):
    weights = initial_state(CONFIG, CORPUS).model.state_dict()
    ends = []
    for config in (OFF, CONFIG):
        _, state, team = run(config, 2 * WARM_UP, watch=lambda team: team.state.step == WARM_UP + 1
                             and team.state.model.load_state_dict(weights))  # fmt: skip
        ends.append(state)
    assert team.graph and same(*ends)


def test_metrics_that_are_arrays_are_read_later_and_numbers_stay(cupy):
    def loss_of(model, ids, targets):
        loss = model.loss(ids, targets)
        return loss, {"first": ids[0, 0].astype("float32"), "rows": 2.0, "twice": loss.data * 2}

    eager, *_ = run(OFF, WARM_UP + 2, loss_of=loss_of)
    replayed, _, team = run(CONFIG, WARM_UP + 2, loss_of=loss_of)
    assert team.graph and replayed == eager and [list(m) for *_, m in replayed][-1] == ["first", "rows", "twice"]


# what cannot be captured


def reading(model, *arrays):
    loss = model.loss(*arrays)
    return loss, {"seen": float(loss.data)}


def test_a_loss_that_is_read_on_the_way_makes_the_steps_eager_and_is_told_once(cupy, caplog):
    eager, state, _ = run(OFF, WARM_UP + 3, loss_of=reading)
    assert not caplog.records
    fallen, same_state, team = run(CONFIG, WARM_UP + 3, loss_of=reading)
    [record] = caplog.records
    assert "one by one, and not as one CUDA graph: CaptureRefused: float(): the current stream is" in record.message
    assert team.graph is None and not team.lane.stream.is_capturing() and record.levelno == logging.WARNING
    assert fallen == eager and same(state, same_state)


def test_a_mask_that_no_counter_decides_is_never_baked_in(cupy, caplog):
    def loss_of(model, *arrays):
        from tinyllm.nn.functional import dropout

        return dropout(model.loss(*arrays) * Tensor(arrays[0]).sum(), 0.5) * 0 + model.loss(*arrays), {}

    _, _, team = run(replace(CONFIG, dropout=0.0), WARM_UP + 1, loss_of=loss_of)
    assert team.graph is None and len(caplog.records) == 1


def test_batches_of_another_shape_are_stepped_beside_the_graph(cupy, caplog):
    def stream(config):
        for i, (ids, targets) in enumerate(batches(CORPUS.train_ids, config)):
            T = 4 if i == WARM_UP + 1 else CONFIG.block_size
            yield [Tensor(ids.data[:, :T].copy()), Tensor(targets.data[:, :T].copy())]

    eager, state, _ = run(OFF, WARM_UP + 4, stream=stream(OFF))
    mixed, same_state, team = run(CONFIG, WARM_UP + 4, stream=stream(CONFIG))
    assert team.graph and mixed == eager and same(state, same_state)
    assert ["a batch of [((4, 4), 'int64'), " in record.message for record in caplog.records] == [True]


def test_an_observer_hears_every_step(cupy, caplog):
    heard = []

    class Listener(Observer):
        def parameter_updated(self, parameter, before, state, options):
            heard.append(parameter)

    state = initial_state(CONFIG, CORPUS)
    with observe(Listener()):
        _, _, team = run(CONFIG, WARM_UP + 2, state)
    assert len(heard) == (WARM_UP + 2) * len(state.optimizer.params)
    assert team.graph is None and "somebody looks at every number" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize("config", [replace(CONFIG, dtype="float64"), CONFIG], ids=["float64", "plain ops"])
def test_plain_ops_are_not_captured(config, cupy, caplog):
    with plain_ops():
        _, _, team = run(config, 1)
    assert team is None and "there are kernels for float32 and bfloat16" in caplog.text and len(caplog.records) == 1


def test_what_is_asked_for_is_not_told(cupy, caplog):
    _, _, team = run(OFF, WARM_UP + 2)
    assert team.graph is None and not caplog.records
    assert "reads" in PolicyTask.why_no_graph
    with pytest.raises(ValueError, match="--graph must be on or off, not yes"):
        replace(CONFIG, graph="yes")


def test_a_wrong_id_is_told_before_it_leaves_the_host(cupy):
    def stream():
        for ids, targets in batches(CORPUS.train_ids, CONFIG):
            ids.data[1, 2] = 99
            yield [ids, targets]

    with pytest.raises(IndexError, match="token id 99 is outside 0 … "):
        run(CONFIG, 1, stream=stream())


# what the proof rests on


def test_a_step_whose_batch_is_not_waited_for_is_another_one(cupy, monkeypatch):
    right, *_ = run(CONFIG, 2)
    monkeypatch.setattr(Stream, "wait_event", lambda stream, event: None)
    assert run(CONFIG, 2)[0] != right


def test_a_graph_in_memory_that_others_use_is_another_one(cupy, monkeypatch):
    right, *_ = run(CONFIG, WARM_UP + 3)

    def numbers(shared):
        kept = []

        def watch(team):
            kept.extend(cupy.asarray(np.full(n, 7.0, np.float32)) for n in range(16, 600, 16) for _ in range(4))
            if shared and team.graph:
                assert team.graph.pool is cupy.get_default_memory_pool()

        made = run(CONFIG, WARM_UP + 3, watch=watch)[0]
        return made, all((x.get() == 7).all() for x in kept)

    assert numbers(shared=False) == (right, True)
    monkeypatch.setattr(cupy.cuda, "MemoryPool", cupy.get_default_memory_pool)
    with np.errstate(all="ignore"):
        assert numbers(shared=True)[1] is False, "the graph wrote on somebody's numbers"


def test_a_lost_capture_is_ended(cupy):
    with graph.Lane() as lane:
        with pytest.raises(CaptureRefused, match="synchronize"):
            lane.capture(lane.stream.synchronize)
        assert not lane.stream.is_capturing()
        x = cupy.asarray(np.ones(3))
        again = lane.capture(lambda: x.__imul__(2))
        again.launch(), again.launch()
        assert x.get().tolist() == [4, 4, 4]


# how many kernels


@pytest.mark.parametrize("kind, dropout, most", [("fp32", 0.0, 300), ("tf32", 0.0, 300), ("bf16", 0.0, 300),
                                                 ("bf16", 0.1, 350)])  # fmt: skip
def test_a_step_of_gpt2_is_at_most_350_launches(kind, dropout, most, cupy, monkeypatch):
    """12 layers and 12 heads, as GPT-2 has them; the sizes change no number of launches. Dropout has 50 of its own,
    which leaves 296 without it; the log of the test names them."""
    monkeypatch.setattr(graph, "WARM_UP", 1)
    monkeypatch.setattr("tests.fake_cupy.stream.Graph.launch", lambda graph: None)
    config = TrainConfig(n_layer=12, n_head=12, n_embd=24, block_size=4, batch_size=1, max_iters=9, backend="cupy",
                         dropout=dropout, precision=kind)  # fmt: skip
    _, _, team = run(config, 2)
    launches = sum(team.graph.kinds.values())
    print(f"{kind}, dropout {dropout}: {launches} launches", dict(team.graph.kinds.most_common()))
    assert launches <= most


def test_what_is_kept_for_every_stream_lies_in_no_graph_s_memory(cupy):
    """Its pool goes with the training, and cupy frees what is left of it, whoever keeps an array there."""
    _, _, team = run(CONFIG, WARM_UP + 1)
    assert team.graph and team.lane.pool.used == 0
