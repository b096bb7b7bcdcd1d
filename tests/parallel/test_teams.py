"""A team computes what one worker does, whoever is faster; a member that dies ends it with a message, never a hang."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinyllm
from tinyllm.kernels.cpu import share
from tinyllm.parallel import Processes, Threads, WorkerDied, choose
from tinyllm.training import data_parallel
from tinyllm.training.batches import batches
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.data_parallel import workers
from tinyllm.training.shares import Shares
from tinyllm.training.step import train_step
from tinyllm.training.train import train

ROOT = Path(tinyllm.__file__).parents[1]
TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 20
TINY = TrainConfig(n_layer=2, n_head=2, n_embd=16, block_size=8, batch_size=5, max_iters=20, warmup_iters=2,
                   dropout=0.1, dtype="float64")  # fmt: skip
CORPUS = Corpus.of(TEXT, TINY.block_size)
TEAMS = [Processes, Threads] if choose.fork_is_safe() else [Threads]
every_team = pytest.mark.parametrize("team", TEAMS)
needs_processes = pytest.mark.skipif(Processes not in TEAMS, reason="no fork that is safe here")


def trained(config, team=None, steps=4, n=1):
    """What n workers make of some steps: losses, norms, weights and moments."""
    config = replace(config, workers=n)
    state, stream = initial_state(config, CORPUS), batches(CORPUS.train_ids, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_parallel, "choose_team", team)
        with workers(config, state) as shared:
            assert (shared is None) == (team is None)
            made = [train_step(state, config, next(stream), team=shared) for _ in range(steps)]
    return {"steps": np.array([(p.loss, p.grad_norm) for p in made])} | {n: a.copy() for n, a in state.arrays().items()}


def assert_equal(ours, theirs, bound=0):
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=bound, err_msg=name)


CONFIGS = st.builds(
    replace, st.just(TINY), n_layer=st.integers(1, 2), batch_size=st.integers(3, 7),
    dropout=st.sampled_from([0.0, 0.3]), gradient_accumulation=st.integers(1, 3),
    tie_weights=st.booleans(), bias=st.booleans(), grad_clip=st.sampled_from([0.0, 0.1, 1.0]),
)  # fmt: skip


@settings(max_examples=6)
@given(config=CONFIGS, n=st.integers(2, 3))
@example(TINY, 2).via("shares of two sizes")
def test_every_team_computes_what_one_worker_does(config, n):
    one = trained(config)
    results = [trained(config, team, n=n) for team in TEAMS]
    for result in results:
        assert_equal(result, one, 1e-12)
        assert_equal(result, results[0])


@every_team
@pytest.mark.parametrize("slow", range(2))
def test_who_is_faster_changes_nothing(team, slow, monkeypatch):
    """Once rank 0 dawdles, once rank 1: early shares wait for their turn."""
    config = replace(TINY, dtype="float32", gradient_accumulation=2)
    expected = trained(config, team, n=2)
    take = Shares.take

    def dawdle(self, p, share):
        time.sleep(1e-3 * (self.rank == slow))
        take(self, p, share)

    monkeypatch.setattr(Shares, "take", dawdle)
    assert_equal(trained(config, team, n=2), expected)


@pytest.mark.parametrize("n", [2, 3])
def test_with_fewer_sequences_than_workers_threads_share_the_ops(n, monkeypatch):
    config = replace(TINY, batch_size=1, n_head=4, block_size=8)
    monkeypatch.setattr(share, "BLOCK", 16)
    one, parts = trained(config), []
    work = share.share
    monkeypatch.setattr("tinyllm.kernels.cpu.linear.product", lambda *arrays: parts.append(share._threads.get()) or (
        share.product(*arrays)))  # fmt: skip
    assert work is share.share
    assert_equal(trained(config, n=n), one, 1e-12)
    assert set(parts) == {n}


def test_a_second_step_uses_the_memory_of_the_first():
    """After the warm-up nothing new is taken from the system."""
    from tinyllm.kernels.cpu import ARENA

    config = replace(TINY, n_embd=64, block_size=16, batch_size=8, workers=1, dropout=0.0)
    corpus = Corpus.of(TEXT, 16)
    state, stream = initial_state(config, corpus), batches(corpus.train_ids, config)
    sizes = []
    with workers(config, state):
        for _ in range(6):
            train_step(state, config, next(stream))
            sizes.append((ARENA.size, state.optimizer.copies))
    assert sizes[1:] == sizes[1:2] * 5 and sizes[-1][1] == 0


@every_team
def test_threads_and_processes_of_a_team_end_with_it(team, monkeypatch):
    before, memory = set(threading.enumerate()), os.listdir("/dev/shm")
    monkeypatch.setattr(data_parallel, "choose_team", team)
    config = replace(TINY, workers=2)
    state = initial_state(config, CORPUS)
    with pytest.raises(ZeroDivisionError), workers(config, state) as shared:
        pids = [member.pid for member in getattr(shared.team, "members", [])]
        assert len(pids) == (team is Processes)
        1 / 0
    assert set(threading.enumerate()) == before and os.listdir("/dev/shm") == memory
    assert not any(map(exists, pids))


def exists(pid):
    """Whether there is such a process, a dead one that nobody waited for included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# what goes wrong


@every_team
@pytest.mark.parametrize("bad", range(3))
def test_an_error_of_a_member_is_raised_and_nobody_waits_for_it(team, bad):
    def task(rank):
        if rank == bad:
            raise MemoryError(f"no memory for {rank}")
        made.wait(lambda: False)  # for what the other one would have done

    with team(3) as made, pytest.raises(MemoryError, match=f"no memory for {bad}"):
        made.start({"task": task})
        made.run("task")


@every_team
def test_results_come_in_the_order_of_the_ranks(team):
    with team(3) as made:
        made.start({"task": lambda rank, x: (time.sleep(0.02 * (2 - rank)), rank * x)[1]})
        assert made.run("task", 10) == [0, 10, 20] and made.run("task", 1) == [0, 1, 2]


@needs_processes
@pytest.mark.parametrize("when", ["while it works", "while it waits", "while rank 0 waits for it"])
def test_a_member_that_is_killed_ends_the_task(when):
    def task(rank):
        if rank == 1 and when != "while it waits":
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == 0 and when == "while rank 0 waits for it":
            made.wait(lambda: False)

    with Processes(3) as made:
        made.start({"task": task})
        pids = [member.pid for member in made.members]
        if when == "while it waits":
            os.kill(pids[0], signal.SIGKILL)
            time.sleep(0.05)
        with pytest.raises(WorkerDied, match=rf"worker 1 of 3 \(process {pids[0]}\) was killed by SIGKILL; if memory"):
            made.run("task")
    assert not any(map(exists, pids))


@needs_processes
def test_a_member_that_leaves_is_told_apart():
    with Processes(2) as made:
        made.start({"task": lambda rank: rank and os._exit(3)})
        with pytest.raises(WorkerDied, match="worker 1 of 2 .* ended with exit code 3"):
            made.run("task")


def test_a_fork_is_safe_without_threads_alone():
    if choose.fork_is_safe():
        let, thread = threading.Event(), threading.Thread(target=lambda: let.wait())
        thread.start()
        try:
            assert not choose.fork_is_safe()
            assert isinstance(choose.choose_team(2), Threads)
        finally:
            let.set()
            thread.join()


# `tinyllm train`, from outside


TRAIN = ["train", "--data=cats.txt", "--n-layer=1", "--n-head=2", "--n-embd=16", "--block-size=8", "--batch-size=4",
         "--max-iters=100000", "--eval-interval=20", "--workers=3", "--json", "--out-dir=run"]  # fmt: skip


@pytest.fixture
def running(tmp_path):
    """A training past its first checkpoint, its workers' process ids, and the folder it is in."""
    (tmp_path / "cats.txt").write_text(TEXT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([sys.executable, "-W", "error", "-m", "tinyllm", *TRAIN], cwd=tmp_path, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    for _ in range(25):
        assert process.stdout.readline(), process.stderr.read()
    yield process, children(process.pid), tmp_path
    process.kill()
    process.communicate()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids):
    until = time.monotonic() + 20
    while any(map(exists, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(exists, pids))


@needs_processes
@pytest.mark.parametrize("which", range(2))
def test_a_killed_worker_is_one_message_and_the_last_checkpoint(running, which):
    process, pids, folder = running
    assert len(pids) == 2
    os.kill(pids[which], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in said and len(said.splitlines()) == 2
    assert f"tinyllm: worker {which + 1} of 3 (process {pids[which]}) was killed by SIGKILL; if memory ran out" in said
    assert "is whole; go on from it: tinyllm train --resume run" in said
    assert gone(pids)


@needs_processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_training(running, number):
    process, pids, folder = running
    memory = os.listdir("/dev/shm")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert gone(pids) and os.listdir("/dev/shm") == memory


@needs_processes
def test_a_stopped_worker_is_waited_for(running):
    """Slow is not dead: it goes on where it was."""
    process, pids, folder = running
    os.kill(pids[0], signal.SIGSTOP)
    time.sleep(0.3)
    assert process.poll() is None
    os.kill(pids[0], signal.SIGCONT)
    for _ in range(40):
        assert process.stdout.readline()


def test_the_run_is_the_same_with_threads(tmp_path, monkeypatch):
    """All files but the speed: a run begun with processes goes on with threads, as in a notebook."""
    config = replace(TINY, workers=2, max_iters=6, eval_interval=3)
    for team in TEAMS:
        monkeypatch.setattr(data_parallel, "choose_team", team)
        train(config, CORPUS, tmp_path / team.__name__)
    first, *others = [tmp_path / team.__name__ / "training_state.safetensors" for team in TEAMS]
    assert all(other.read_bytes() == first.read_bytes() for other in others)
