"""A run that is killed, at any instant and by anything, goes on from its last checkpoint and ends as one that was not.

To die hundreds of deaths quickly, some tests run as a script, in a Python of their own that forks a child for each.
"""

import builtins
import errno
import io
import itertools
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

if not hasattr(os, "fork"):
    pytest.skip("needs os.fork", allow_module_level=True)

import resource

import tinyllm.training.run
import tinyllm.training.train
from tinyllm.cli.app import main
from tinyllm.files import replace_text
from tinyllm.models import pretrained
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.run import STATE, has_checkpoint, load_run
from tinyllm.training.state import read_facts
from tinyllm.training.train import train

ROOT = Path(tinyllm.__file__).parents[1]
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # quick; and no death here is a power cut

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 3
FLAGS = ["--data=cats.txt", "--n-layer=1", "--n-head=2", "--n-embd=4", "--block-size=4", "--batch-size=2",
         "--dropout=0.1"]  # fmt: skip
TINY = TrainConfig(n_layer=1, n_head=2, n_embd=4, block_size=4, batch_size=2, gradient_accumulation=2, max_iters=3,
                   warmup_iters=1, eval_interval=1, learning_rate=1e-2, dropout=0.1)  # fmt: skip
CORPUS = Corpus.of(TEXT, TINY.block_size)


def contents(folder):
    """{name: content} of the files of a run, but for the speed of each step, and for a picture."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (".lock", "loss.png")}
    found["metrics.jsonl"] = [json.loads(line) for line in found["metrics.jsonl"].splitlines()]
    for entry in found["metrics.jsonl"]:
        del entry["tokens_per_second"]
    return found


def train_on(folder, config=TINY, **options):
    """Go on with a run, or begin it where there is no checkpoint yet."""
    train(config, CORPUS, folder, resume=has_checkpoint(folder), **options)


def last_checkpoint(folder):
    """The step of it, 0 where there is none."""
    return read_facts(folder / STATE)["step"] if has_checkpoint(folder) else 0


def one_step(folder):
    """A step, its evaluation, its checkpoint, and the picture."""
    train_on(folder, should_stop=lambda: True)


def ends_as_if_nothing_had_been(folder, expected):
    """Models are whole wherever there is a checkpoint; gone on with, the run is as the one that nothing happened to."""
    if has_checkpoint(folder):
        load_run(folder), load_run(folder, best=True)
    train_on(folder)
    same(contents(folder), expected)


def same(found, expected):
    """As ==, for scripts, in which pytest does not explain."""
    assert sorted(found) == sorted(expected), f"a file is missing, or left behind: {found.keys() ^ expected.keys()}"
    for name, content in found.items():
        assert content == expected[name], f"{name} differs"


# Death at a file operation


OPERATIONS = [(os, "open"), (os, "replace"), (os, "fsync"), (os, "unlink"), (os, "chmod"), (io, "open"),
              (builtins, "open"), (pretrained, "save_file")]  # fmt: skip


@contextmanager
def watch(meet):
    """Call meet(when, name, path) just before and just after everything that changes a file."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in OPERATIONS:
            if hasattr(module, name):
                patch.setattr(module, name, watched(name, getattr(module, name), meet))
        yield


def watched(name, operation, meet):
    def watching(*arguments, **options):
        path = str(arguments[name == "save_file"])
        if name == "open" and only_reads(*arguments) or path.endswith(".lock"):
            return operation(*arguments, **options)
        meet("before", name, path)
        result = operation(*arguments, **options)
        meet("after", name, path)
        return result

    return watching


def only_reads(path, how="r", *more):
    return how.startswith("r") if isinstance(how, str) else not how & (os.O_WRONLY | os.O_RDWR)


def strike_at(number, strike):
    """A meet(…) that lets all pass but one."""
    meetings = itertools.count()
    return lambda *what: strike(*what) if next(meetings) == number else None


def forked(action):
    """The exit code of a child that did action(), negative where a signal killed it."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*what):
    os.kill(os.getpid(), signal.SIGKILL)


class Checkpoints:
    """A step that begins a run, and a step that goes on with one: each is struck again and again, on a fresh copy."""

    def __init__(self, home):
        self.copy, begun, whole = home / "copy", home / "begun", home / "whole"
        one_step(begun)
        train_on(whole)
        self.expected = contents(whole)
        self.starts = {"new": None, "begun": begun}
        self.operations = {}
        for start in self.starts:
            folder, met = self.fresh(start), []
            with watch(lambda *what: met.append(what)):
                one_step(folder)
            self.operations[start] = met
            assert len(met) > 60 and {name for _, name, _ in met} >= {"open", "replace", "fsync"}, "they are all seen"
            moved = {Path(path).name.removesuffix(".tmp") for _, name, path in met if name == "replace"}
            assert moved >= {"metrics.jsonl", "model.safetensors", "best.safetensors", STATE, "loss.png"}

    def fresh(self, start):
        shutil.rmtree(self.copy, ignore_errors=True)
        if self.starts[start]:
            shutil.copytree(self.starts[start], self.copy)
        return self.copy

    def __iter__(self):
        """(a fresh folder, the number of a meeting, its (when, name, path)), one after the other."""
        for start, operations in self.operations.items():
            for number, what in enumerate(operations):
                yield self.fresh(start), number, what


def alone(scenario):
    """The test that runs scenario(folder) as a script."""

    def test():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        with TemporaryDirectory(dir=MEMORY) as folder:
            command = [sys.executable, __file__, scenario.__name__, folder]
            result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr

    test.scenario = scenario
    return test


@alone
def test_a_death_at_any_file_operation_loses_nothing(home):
    checkpoints = Checkpoints(home)
    for folder, number, what in checkpoints:
        print(*what)
        if what[:2] in [("after", "replace"), ("after", "fsync")]:
            continue  # that is just before the next one

        def step():
            with watch(strike_at(number, die)):
                one_step(folder)

        assert forked(step) == -signal.SIGKILL
        ends_as_if_nothing_had_been(folder, checkpoints.expected)


@alone
def test_a_death_in_the_middle_of_writing_any_file_loses_nothing(home):
    """The kernel kills a process whose file grows beyond a limit: here half of what the file should be."""
    checkpoints, deaths = Checkpoints(home), []
    for folder, number, what in checkpoints:
        name = Path(what[2]).name.removesuffix(".tmp")
        if what[:2] != ("before", "open") or name not in checkpoints.expected:
            continue
        print(*what)

        def limit(*what):
            size = len((home / "whole" / name).read_bytes())
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

        def step():
            with watch(strike_at(number, limit)):
                one_step(folder)

        code = forked(step)
        assert code in (0, -signal.SIGXFSZ), "0: a file that is not as long yet"
        deaths += [name] * (code != 0)
        ends_as_if_nothing_had_been(folder, checkpoints.expected)
    assert {"config.toml", "model.safetensors", "best.safetensors", STATE} <= set(deaths) and len(deaths) > 15


@alone
def test_an_error_at_any_file_operation_is_one_message_and_loses_nothing(home):
    checkpoints = Checkpoints(home)
    for folder, number, what in checkpoints:
        print(*what)
        code = {"before": errno.ENOSPC, "after": errno.EACCES}[what[0]]
        before = last_checkpoint(folder)

        def fail(*what):
            raise OSError(code, os.strerror(code))

        try:
            with watch(strike_at(number, fail)):
                one_step(folder)
        except OSError as error:
            message = [*str(error).splitlines(), *getattr(error, "__notes__", [])]
        else:
            raise AssertionError("nobody noticed")
        print(*message, sep="\n")
        assert os.strerror(code) in message[0] and str(folder) in message[0] and len(message) <= 3
        assert any((f"the checkpoint of step {step} is whole" if step else "there is no checkpoint") in message[-1]
                   for step in {before, last_checkpoint(folder)})  # fmt: skip
        ends_as_if_nothing_had_been(folder, checkpoints.expected)


@alone
def test_kills_at_random_instants_lose_nothing(home):
    config, kills, draw = replace(TINY, max_iters=12, eval_interval=3), 0, random.Random(0)
    start = time.perf_counter()
    train(config, CORPUS, home / "whole")
    duration, expected = time.perf_counter() - start, contents(home / "whole")
    for trial in range(6):
        folder = home / str(trial)
        for attempt in itertools.count(1):
            child = os.fork()
            if child == 0:
                train_on(folder, config)
                os._exit(0)
            time.sleep(draw.uniform(0, duration * (0.3 + attempt / 10)))
            os.kill(child, signal.SIGKILL)
            if os.waitpid(child, 0)[1] == 0:
                break
            kills += 1
            if has_checkpoint(folder):
                load_run(folder), load_run(folder, best=True)
        same(contents(folder), expected)
    assert kills > 12, kills


# Two processes


@alone
def test_a_folder_is_trained_in_by_one_process_alone(home):
    os.chdir(home)
    Path("cats.txt").write_text(TEXT)
    for fate, eval_interval, flags in [("goes on", 1, ["--resume"]), ("is killed", 3, [*FLAGS, "--out-dir"])]:
        config, folder, whole = replace(TINY, data="cats.txt", eval_interval=eval_interval), home / fate, home / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        train(config, CORPUS, whole)
        (heard, tell), (go, let) = os.pipe(), os.pipe()
        first = os.fork()
        if first == 0:
            os.close(let)  # if the parent fails, nobody holds that end, and there is nothing to wait for
            train_on(folder, config, report=lambda progress: (os.write(tell, b"."), os.read(go, 1)))
            os._exit(0)
        os.read(heard, 1)  # it has made a step, and waits
        before = contents(folder)
        with pytest.raises(BlockingIOError, match="another process is training in"):
            train_on(folder, config)
        with redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit, check=lambda error: error.code == 2):
            main(["train", *flags, str(folder)])
        assert said.getvalue().startswith(f"tinyllm: another process is training in {folder}; "), said.getvalue()
        assert len(said.getvalue().splitlines()) == 1 and contents(folder) == before
        if fate == "goes on":
            os.write(let, b"...")
            assert os.waitpid(first, 0)[1] == 0
        else:
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            train_on(folder, config)
        same(contents(folder), contents(whole))


# `python -m tinyllm train`, from outside


COMMAND = ["train", *FLAGS, "--max-iters=100", "--eval-interval=50"]


@pytest.fixture(scope="module", autouse=True)
def no_picture():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyllm.training.run.draw_loss", lambda metrics, path: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder to run in, and the files of a run there that nothing happened to."""
    home = tmp_path_factory.mktemp("kill")
    (home / "cats.txt").write_text(TEXT)
    tinyllm_here(home, *COMMAND, "--out-dir=whole")
    return home, contents(home / "whole")


def tinyllm_here(home, *arguments):
    """The command, in this process."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, check=lambda leaving: leaving.code == 0):
        patch.chdir(home)
        main([*arguments, "--quiet"])


def tinyllm_process(home, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen([sys.executable, "-W", "error", "-m", "tinyllm", *arguments], cwd=home, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # fmt: skip


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_can_be_gone_on_with(whole, number, code):
    """The lines of all its steps do not fit into the pipe: it waits, and is not over before the signal comes."""
    (home, expected), folder = whole, f"stopped-{code}"
    process = tinyllm_process(home, *COMMAND, f"--out-dir={folder}", "--json", pipesize=4096)
    for _ in range(10):
        assert process.stdout.readline(), process.stderr.read()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in said
    step = read_facts(home / folder / STATE)["step"]
    assert 10 <= step < 100 and f"stopped after step {step} (" in said
    _, *command = shlex.split(said.partition("Go on with: ")[2])
    tinyllm_here(home, *command)
    assert contents(home / folder) == expected


def test_a_second_ctrl_c_stops_at_once(whole, monkeypatch, capsys):
    home, expected = whole
    make_step = tinyllm.training.task.train_step

    def interrupted(*step):
        state, progress = step[0], make_step(*step)
        if state.step == 70:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return progress

    monkeypatch.chdir(home)
    with monkeypatch.context() as patch, pytest.raises(SystemExit, check=lambda error: error.code == 130):
        patch.setattr(tinyllm.training.task, "train_step", interrupted)
        main([*COMMAND, "--out-dir=twice", "--quiet"])
    said = capsys.readouterr().err
    assert said.startswith("tinyllm: stopped\nthe checkpoint of step 50 is whole") and len(said.splitlines()) == 2
    assert len(contents(home / "twice")["metrics.jsonl"]) == 69, "the step that it was in the middle of is lost"
    tinyllm_here(home, "train", "--resume", "twice")
    assert contents(home / "twice") == expected
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("size, last", [(6_000, 0), (12_000, 50)], ids=["for its first checkpoint", "for its metrics"])
def test_a_disk_that_is_full_is_one_message(whole, size, last):
    """No file may grow beyond `size`: a checkpoint has 8 kB, and to the metrics 150 are added at each step."""
    home, expected = whole
    name = f"full-{last}"
    process = tinyllm_process(home, *COMMAND, f"--out-dir={name}", "--quiet",
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))  # fmt: skip
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in said
    assert len(said.splitlines()) <= 3 and name in said and "cannot be written" in said
    if last:
        assert f"the checkpoint of step {last} is whole" in said
        tinyllm_here(home, "train", "--resume", name)
    else:
        assert f"there is no checkpoint in {name} yet" in said
        tinyllm_here(home, *COMMAND, f"--out-dir={name}")
    assert contents(home / name) == expected


if __name__ == "__main__":
    tinyllm.training.train.SAMPLE_TOKENS = 2
    tinyllm.training.run.environment = lambda config: {"a look at the machine": "takes longer than the training"}
    tinyllm.training.run.draw_loss = lambda metrics, path: replace_text(path, f"a picture of {len(metrics)} steps")
    os.fsync = lambda descriptor: None
    globals()[sys.argv[1]].scenario(Path(sys.argv[2]))
