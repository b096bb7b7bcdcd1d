"""A run with kernels: its checkpoints are written while the next steps run, and it goes on from them to the bit."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from tests.gpu.test_training import CORPUS, CUPY, metrics, quick  # noqa: F401  (a fixture)
from tinyllm.models.tensor_file import read_tensors
from tinyllm.training.run import STATE
from tinyllm.training.state import TrainState
from tinyllm.training.train import train


def test_a_checkpoint_is_written_while_the_next_steps_run(cupy, tmp_path, monkeypatch):
    """It holds what was there when it was made, though its file comes later."""
    config, reported, steps = replace(CUPY, eval_interval=8), [], iter(range(1, 100))
    late, asked = threading.Event(), TrainState.save

    def save(state, path, **more):
        if state.step == 8:
            assert late.wait(10), "the run waits for the checkpoint"
        asked(state, path, **more)
        shutil.copy(path, tmp_path / f"{state.step}.safetensors")

    def should_stop():
        if next(steps) == 10:
            late.set()

    monkeypatch.setattr(TrainState, "save", save)
    train(config, CORPUS, tmp_path / "run", lambda progress: reported.append(progress.step), should_stop)
    assert reported == list(range(1, 25)) and late.is_set()
    monkeypatch.setattr(TrainState, "save", asked)
    resumed = train(config, CORPUS, again(tmp_path / "run", tmp_path / "8.safetensors"), resume=True)
    whole = read_tensors(tmp_path / "run" / STATE)
    assert all(np.array_equal(array, whole[name]) for name, array in resumed.arrays().items())


def again(run, checkpoint):
    """A copy of the folder of a run, in which it has come to a checkpoint."""
    folder = run.with_name("again")
    shutil.copytree(run, folder)
    shutil.copy(checkpoint, folder / STATE)
    return folder


def test_a_checkpoint_that_could_not_be_written_ends_the_run(cupy, tmp_path, monkeypatch):
    def save(state, path, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TrainState, "save", save)
    with pytest.raises(OSError, match="cannot be written: No space left on device; make room there") as failed:
        train(replace(CUPY, eval_interval=6), CORPUS, tmp_path)
    assert "there is no checkpoint" in "".join(failed.value.__notes__)
    assert len(metrics(tmp_path)) < 24, "the next checkpoint tells"
