"""The benchmark's worker for a GPU, on the stand-in: the step of worker.py, and waiting outside of what is timed."""

import pytest

from benchmarks import gpu_worker
from benchmarks.bench import Config

CONFIG = Config(n_layer=1, n_head=2, n_embd=8, block_size=8, batch_size=2, vocab_size=11, steps=2)


def test_a_step_is_timed_in_its_parts_and_waited_for(cupy, monkeypatch):
    waits = []
    monkeypatch.setattr(cupy.cuda.runtime, "deviceSynchronize", lambda: waits.append(1))
    step, versions = gpu_worker.tinyllm_step(CONFIG)
    before = cupy.counts
    with cupy.step():
        whole, *parts = step()
    assert whole == pytest.approx(sum(parts)) and len(parts) == 3 and len(waits) == 4
    assert (cupy.counts - before).uploads == 2
    assert versions["cupy"] == "stand-in" and float(versions["float32 products off by"]) < 1e-5


def test_torch_makes_the_step_beside_it(cupy):
    whole, *parts = gpu_worker.torch_step(CONFIG, compiled=False)[0]()
    assert whole == pytest.approx(sum(parts)) and len(parts) == 3


def test_the_floors_are_measured(cupy):
    assert gpu_worker.gemm_rate(64) > 0 and gpu_worker.copy_rate(64) > 0
    assert gpu_worker.peak_memory_mb("tinyllm") >= gpu_worker.peak_memory_mb("torch") == 0
