"""A whole training step, generation, checkpoints and the recording on the stand-in: numpy's numbers, and no waiting."""

import json
from dataclasses import replace

import numpy as np
import pytest

import tinyllm
from tests.fake_cupy import CaptureRefused
from tinyllm import GPT, SGD, AdamW, GPTConfig, Tensor, gradcheck, ops
from tinyllm.display import statistics
from tinyllm.evaluation import score_text
from tinyllm.generation import NoCache, beam_search
from tinyllm.models import Bigram
from tinyllm.models.word2vec import Word2Vec
from tinyllm.optim import FlatAdamW, clip_grad_norm
from tinyllm.training.batches import batches
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.step import train_step

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8)
IDS = np.random.default_rng(0).integers(0, 11, (2, 8))
TARGETS = np.where(np.random.default_rng(1).random((2, 8)) < 0.2, -100, np.roll(IDS, -1))
CONFIG = TrainConfig(n_layer=1, n_head=2, n_embd=8, block_size=4, batch_size=2, gradient_accumulation=2, max_iters=12,
                     warmup_iters=2, eval_interval=5, learning_rate=1e-2, dropout=0.2)  # fmt: skip
CORPUS = Corpus.of("the cat sat on the mat. the dog sat on the log.\n" * 5, CONFIG.block_size)


def on(backend):
    return replace(CONFIG, backend=backend)


def a_state(backend):
    state = initial_state(on(backend), CORPUS)
    return state, batches(CORPUS.train_ids, CONFIG)


# the step


def test_steps_give_numpys_weights_and_wait_for_nothing(cupy):
    """The same weights, batches and dropout masks from the same seed; two micro-batches, clipping, AdamW."""
    (here, stream), (there, same_stream) = a_state("numpy"), a_state("cupy")
    for _ in range(4):
        batch = next(stream)
        ours = train_step(here, on("numpy"), batch)
        with cupy.step():
            theirs = train_step(there, on("cupy"), next(same_stream))
        assert type(theirs.loss) is type(theirs.grad_norm) is cupy.ndarray, "nobody has read them"
        assert (float(theirs.loss), float(theirs.grad_norm)) == pytest.approx((ours.loss, ours.grad_norm), rel=1e-6)
    for (name, array), other in zip(here.arrays().items(), there.arrays().values(), strict=True):
        assert np.array_equal(array, other), name


def test_what_a_step_launches_and_copies(cupy):
    """More launches than this are a slower step: look at what was added before you raise the number."""
    state, stream = a_state("cupy")
    train_step(state, on("cupy"), next(stream))
    before = cupy.counts
    train_step(state, on("cupy"), next(stream))
    made = cupy.counts - before
    parts = CONFIG.gradient_accumulation
    products = parts * (4 * 3 + 6 + 3)  # of 4 layers and the head a forward and two backward ones, of attention 6
    assert (made.downloads, made.uploads, made.products) == (0, 2, products)
    assert made.bytes == parts * 2 * CONFIG.batch_size * CONFIG.block_size * 8, "ids and targets, nothing else"
    assert made.launches <= 810, made


def test_a_capture_stops_at_nothing_but_copies_and_cublas(cupy, monkeypatch):
    """What CUDA graphs will need besides a binding to cuBLAS of our own: a batch that is there already."""
    model = GPT(replace(TINY, dropout=0.1)).to("cupy")
    optimizer = AdamW(model.parameters())
    ids, targets = Tensor(IDS).to("cupy"), Tensor(TARGETS).to("cupy")

    def step():
        loss = model.loss(ids, targets)
        optimizer.backward(loss)
        optimizer.clip(1.0)
        optimizer.step()
        optimizer.zero_grad()

    with cupy.capture(), pytest.raises(CaptureRefused, match="cuBLAS"):
        step()
    optimizer.zero_grad()
    monkeypatch.setattr("tests.fake_cupy.Device.product", lambda device: None)
    with cupy.capture():
        step()
    with cupy.capture(), pytest.raises(CaptureRefused, match="a copy to the GPU"):
        model.loss(IDS, TARGETS)


@pytest.mark.parametrize("optimizer", [AdamW, lambda p: SGD(p, momentum=0.9)], ids=["AdamW", "SGD"])
def test_an_optimizer_must_be_where_its_parameters_are(optimizer, cupy):
    model = GPT(TINY)
    moved_under_it = optimizer(model.parameters())
    model.to("cupy").loss(IDS, TARGETS).backward()
    with pytest.raises(TypeError, match="some are on cupy and some on numpy; make the optimizer after model.to"):
        moved_under_it.step()
    optimizer(model.parameters()).step()


def test_the_flat_optimizer_is_numpys_alone(cupy):
    model = GPT(TINY)
    flat = FlatAdamW(model.parameters())
    model.to("cupy").loss(IDS, TARGETS).backward()
    with pytest.raises(TypeError, match="on cupy; make a new optimizer"):
        flat.step()
    with pytest.raises(TypeError, match="moves numpy parameters"):
        FlatAdamW(model.parameters())


# models


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_goes_there_and_back_unchanged(dtype, cupy):
    model = GPT(TINY, dtype=dtype)
    before, logits = model.state_dict(), model(IDS).data
    assert model.to("cupy") is model
    assert all(type(p.data) is cupy.ndarray and p.dtype == dtype for p in model.parameters())
    assert np.array_equal(model(IDS).data.get(), logits)
    copies = model.state_dict()
    model.load_state_dict(before)  # of the host into a model of the GPU
    assert all(type(array) is cupy.ndarray for array in (*copies.values(), *(p.data for p in model.parameters())))
    model.to("numpy")
    assert all(np.array_equal(p.data, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("bad", [-1, 11, 10**9])
def test_ids_are_looked_at_before_they_go_where_nobody_does(bad, cupy):
    model, wrong = GPT(TINY).to("cupy"), IDS.copy()
    wrong[1, 3] = bad
    with pytest.raises(IndexError, match=f"token id {bad} is outside 0 … 10"):
        model(wrong)
    with pytest.raises(IndexError, match=f"target {bad} is outside 0 … 10"):
        model.loss(IDS, Tensor(wrong))
    with pytest.raises(IndexError, match=f"token id {bad} is outside 0 … 10"):
        model.generate(wrong, 1)
    assert model(Tensor(IDS).to("cupy")).shape == (2, 8, 11), "what is there already is not looked at"


def test_bigrams_and_word_vectors(cupy):
    for make, arguments in [
        (lambda: Bigram(11), (IDS, TARGETS)),
        (lambda: Word2Vec(11, 4), (IDS[0], IDS[1], IDS.T.copy())),
    ]:
        here, there = make(), make().to("cupy")
        losses = [model.loss(*arguments) for model in (here, there)]
        with cupy.step():
            losses[1].backward()
        losses[0].backward()
        assert losses[0].item() == losses[1].item()
        for ours, theirs in zip(here.parameters(), there.parameters()):
            assert np.array_equal(ours.grad, theirs.grad.get())


def test_a_model_is_saved_from_the_gpu_and_read_from_the_disk(cupy, tmp_path):
    model = GPT(TINY).to("cupy")
    model.save_pretrained(tmp_path)
    loaded = GPT.from_pretrained(tmp_path)
    assert np.array_equal(loaded(IDS).data, model(IDS).data.get())


# generation


@pytest.mark.parametrize("options", [{}, {"use_cache": False}, {"temperature": 0}, {"repetition_penalty": 1.3}])
def test_generation_gives_the_same_ids(options, cupy):
    model = GPT(TINY)
    here = model.generate(IDS[:, :3], 12, seed=5, **options).data  # beyond the block: the window moves
    assert np.array_equal(model.to("cupy").generate(IDS[:, :3], 12, seed=5, **options).data, here)


def test_a_token_costs_one_copy_each_way(cupy):
    model = GPT(TINY).to("cupy")
    before = cupy.counts
    model.generate(IDS[:1, :3], 4)
    made = cupy.counts - before
    assert (made.uploads, made.downloads) == (4, 4)
    assert made.launches <= 4 * 112, made


@pytest.mark.parametrize("cache", [True, False])
def test_beams_branch_on_the_gpu(cache, cupy):
    model = GPT(TINY)
    here = beam_search(model, IDS[0, :3], 5, 3, use_cache=cache)
    there = beam_search(model.to("cupy"), IDS[0, :3], 5, 3, use_cache=cache)
    assert [(score, ids.tolist()) for score, ids in here] == [(score, ids.tolist()) for score, ids in there]
    assert np.allclose(model.new_cache(1, 8)(IDS[:1]), NoCache(model)(IDS[:1]), rtol=1e-4)


def test_perplexity(cupy):
    model, ids = GPT(TINY), np.random.default_rng(3).integers(0, 11, 40)
    here = score_text(model, ids, 4)
    assert score_text(model.to("cupy"), ids, 4) == here


# looking at it


def test_the_recording_of_a_step_is_numpys(cupy):
    texts = []
    for backend in ("numpy", "cupy"):
        model = GPT(TINY).to(backend)
        optimizer = AdamW(model.parameters())
        with tinyllm.trace() as recording:
            model.loss(IDS, TARGETS).backward()
            clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()
        texts.append(json.loads(recording.to_json()))
        [loss] = (call for call in texts[-1]["calls"] if call["op"] == "cross_entropy")
        del loss["saved"]["n"]  # a number of numpy, an array of no axes on the GPU
        assert repr(recording.steps[3]) and repr(recording.values[2]) and recording.to_html()
    assert texts[0] == texts[1]


def test_the_first_nan_is_found(cupy):
    model = GPT(TINY).to("cupy")
    model.h[1].mlp.c_fc.weight.data[0, 3] = np.nan
    with pytest.raises(tinyllm.debug.NonFiniteError, match=r"h.1.mlp.c_fc.weight, which linear reads .*1 NaN of 256"):
        with tinyllm.debug.nan():
            model.loss(IDS, TARGETS)


def test_tensors_and_models_show_themselves(cupy):
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True).to("cupy")
    assert "backend=cupy" in repr(x) and "<svg" in x._repr_html_()
    assert statistics(x.data) == statistics(np.arange(6.0))
    assert (x * 2).sum().item() == 30 and float(x[1, 2]) == 5 and x.tolist()[1] == [3, 4, 5] and bool(x[0, 1])
    assert np.array_equal(x.detach().numpy(), np.arange(6.0).reshape(2, 3))
    assert (x > 2).tolist() == [[False] * 3, [True] * 3] and [row.shape for row in x] == [(3,), (3,)]
    assert repr(GPT(TINY).to("cupy")) and GPT(TINY).to("cupy")._repr_html_()


def test_gradcheck_runs_where_its_inputs_are(cupy):
    x = Tensor(np.random.default_rng(0).standard_normal((3, 4))).to("cupy")
    before = cupy.counts
    assert gradcheck(ops.layer_norm, x)
    assert (cupy.counts - before).launches > 20
