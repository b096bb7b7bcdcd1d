"""A run on the stand-in: when its numbers are read, checkpoints, and going on with the other backend."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tinyllm.training import readout
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.run import STATE, load_run
from tinyllm.training.state import Diverged
from tinyllm.training.train import train

CONFIG = TrainConfig(n_layer=1, n_head=2, n_embd=8, block_size=4, batch_size=2, max_iters=24, warmup_iters=2,
                     eval_interval=24, learning_rate=1e-2, dropout=0.2)  # fmt: skip
CORPUS = Corpus.of("the cat sat on the mat. the dog sat on the log.\n" * 5, CONFIG.block_size)
CUPY = replace(CONFIG, backend="cupy")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    monkeypatch.setattr("tinyllm.training.train.SAMPLE_TOKENS", 2)
    monkeypatch.setattr("tinyllm.training.run.draw_loss", lambda metrics, path: None)


def metrics(folder):
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "tokens_per_second"} for entry in entries]


def same(ours, theirs):
    """Metrics that agree but for the rounding of sums that are made in another order."""
    assert [entry["step"] for entry in ours] == [entry["step"] for entry in theirs]
    for a, b in zip(ours, theirs):
        assert a == pytest.approx(b, rel=1e-5)


def test_a_run_gives_numpys_metrics_model_and_samples(cupy, tmp_path):
    here, there = tmp_path / "numpy", tmp_path / "cupy"
    train(CONFIG, CORPUS, here)
    train(CUPY, CORPUS, there)
    same(metrics(there), metrics(here))
    assert (here / "model.safetensors").read_bytes() == (there / "model.safetensors").read_bytes()
    assert (here / "samples.txt").read_text() == (there / "samples.txt").read_text()
    assert json.loads((there / "environment.json").read_text())["gpu"] == "stand-in"
    assert load_run(there)[0].to("cupy").generate(np.array([0]), 2).shape == (3,)


def test_the_numbers_of_steps_are_read_together(cupy, tmp_path):
    """20 steps, then 2 more up to a stop: three copies; each step is reported once, in order, with its numbers."""
    seen, downloads = [], []

    def report(progress):
        seen.append(progress)
        assert isinstance(progress.loss, float) and isinstance(progress.grad_norm, float)

    def should_stop():
        downloads.append(cupy.counts.downloads)
        return len(downloads) == 22

    train(CUPY, CORPUS, tmp_path, report, should_stop)
    assert [p.step for p in seen] == list(range(1, 23)) and readout.READ_EVERY == 10
    assert np.diff(downloads).tolist() == [0] * 9 + [1] + [0] * 9 + [1] + [0]
    assert all(p.tokens_per_second > 0 and p.tokens == 8 for p in seen)


@pytest.mark.parametrize("first, second", [("numpy", "cupy"), ("cupy", "numpy")])
def test_a_run_goes_on_with_the_other_backend(first, second, cupy, tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    train(CONFIG, CORPUS, whole)
    steps = iter(range(1, 100))
    train(replace(CONFIG, backend=first), CORPUS, pieces, should_stop=lambda: next(steps) == 7)
    state = train(replace(CONFIG, backend=second), CORPUS, pieces, resume=True)
    assert all((type(p.data) is cupy.ndarray) == (second == "cupy") for p in state.model.parameters())
    same(metrics(pieces), metrics(whole))
    assert (pieces / "samples.txt").read_text() == (whole / "samples.txt").read_text()
    assert (pieces / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_divergence_on_the_gpu_is_told_with_its_step_and_nothing_is_written(cupy, tmp_path):
    wild = replace(CUPY, learning_rate=1e36, min_lr=0.0, grad_clip=0.0, warmup_iters=0, weight_decay=0.0)
    message = r"step \d+: the training diverged \(loss .*, gradient norm .*--debug nan stops at the first number"
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="(?s)" + message):
        train(wild, CORPUS, tmp_path)
    assert not (tmp_path / STATE).exists()
    assert all(np.isfinite(entry["loss"]) for entry in metrics(tmp_path))
