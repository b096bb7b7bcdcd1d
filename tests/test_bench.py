"""The benchmark runs, and writes what it promises; how fast anything is decides no test."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import reference.gpt
import reference.training
import tinyllm
from benchmarks.bench import CONFIGS, CORES, Config, facts, row, table
from benchmarks.worker import tinyllm_step, torch_step
from tinyllm import GPTConfig
from tinyllm.models.sizes import flops_per_token

BENCH = Path(__file__).parents[1] / "benchmarks" / "bench.py"
KEYS = {"config", "backend", "peer", "step_ms", "ratio_to_torch_eager", "tokens_per_second", "peak_memory_mb",
        "gemm_floor_ratio", "gemm_gflops", "gemm_share", "threads", "versions", "machine"}  # fmt: skip
QUICK = ("--rounds", "1", "--threads", "1")
ALONE = (*QUICK, "--peers", "none")

# What every Python of a run does first: a note of its id, its part and its threads.
NOTE = """
import os, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run with Ctrl-C ignored
part = "worker" if any(word.startswith("benchmarks.") for word in sys.orig_argv) else "parent"
threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
pathlib.Path(__file__).with_name(f"{part}.{os.getpid()}").write_text(repr(threads))
"""
REFUSE = """
class Refuse:
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        ours = ("tinyllm", "benchmarks", "numpy", "cupy", "safetensors", "threadpoolctl")
        if top not in sys.stdlib_module_names and top not in ours:
            raise ModuleNotFoundError(f"{name} is refused")
sys.meta_path.insert(0, Refuse)
"""
NO_TORCH = "sys.modules['torch'] = None\n"
BROKEN_TORCH = "if part == 'worker': sys.modules['torch'] = None\n"
STUCK = "import time\nif part == 'worker': time.sleep(300)\n"
LITTLE_MEMORY = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))\n"


@contextmanager
def started(folder, *arguments, first="", program=(BENCH,), **streams):
    (folder / "sitecustomize.py").write_text(NOTE + first)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    command = [sys.executable, *program, *arguments]
    with subprocess.Popen(command, env=environment, text=True, start_new_session=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()  # where it did not end by itself: its workers follow


def outcome(process):
    out, err = process.communicate(timeout=120)
    return SimpleNamespace(code=process.returncode, out=out, err=err, lines=len((err or "").splitlines()))


def bench(folder, *arguments, **options):
    with started(folder, *arguments, **options) as process:
        return outcome(process)


def workers(folder):
    return [int(path.suffix[1:]) for path in folder.glob("worker.*")]


def wait_for_worker(folder):
    deadline = time.monotonic() + 60
    while not workers(folder):
        assert time.monotonic() < deadline, "no worker was started"
        time.sleep(0.02)
    return workers(folder)[0]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# what it writes


def test_a_row_for_each_library(tmp_path):
    ballast = np.ones(1 << 27)  # a GiB of this process, which is no memory of a worker
    result = bench(tmp_path, *QUICK, "--json", tmp_path / "rows.json")
    assert (result.code, result.err) == (0, "")  # progress is for a terminal
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [line["peer"] for line in rows] == ["tinyllm", "torch-eager"]
    for line in rows:
        assert set(line) >= KEYS and line["threads"] == 1
        assert min(line["forward_ms"], line["backward_ms"], line["optimizer_ms"]) > 0
        assert 20 < line["peak_memory_mb"] < ballast.nbytes / 2**20
        assert line["tokens_per_second"] == pytest.approx(12 * 64 / line["step_ms"] * 1e3)
        assert line["gemm_share"] == pytest.approx(line["gflop_per_step"] / line["gemm_gflops"] / line["step_ms"] * 1e3)
        assert line["gemm_share"] * line["gemm_floor_ratio"] == pytest.approx(1)
    assert rows[0]["ratio_to_torch_eager"] == pytest.approx(rows[0]["step_ms"] / rows[1]["step_ms"])
    assert rows[1]["ratio_to_torch_eager"] == 1
    assert result.out == f"{facts(rows)}\n\n{table(rows)}\n"
    notes = [path.read_text() for path in tmp_path.glob("worker.*")]
    assert notes == ["{'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}"] * 2


def measured(name, rounds):
    return SimpleNamespace(name=name, rounds=rounds, memory=100.0, versions={"library of " + name: "1.0"})


def test_medians_of_the_rounds_and_ratios_within_each():
    ours = measured("tinyllm", [[0.5, 0.1, 0.3, 0.1], [0.6, 0.1, 0.4, 0.1], [0.9, 0.2, 0.6, 0.1]])
    eager = measured("torch-eager", [[0.5, 0.1, 0.3, 0.1], [0.2, 0.1, 0.4, 0.1], [0.6, 0.2, 0.6, 0.1]])
    flags = SimpleNamespace(backend="numpy", precision="fp32", threads=2)
    rows = [row("micro", flags, library, eager, 50e9) for library in (ours, eager)]
    numbers = {key: rows[0][key] for key in ("step_ms", "forward_ms", "backward_ms", "optimizer_ms", "rounds")}
    assert numbers == {"step_ms": 600, "forward_ms": 100, "backward_ms": 400, "optimizer_ms": 100, "rounds": 3}
    assert rows[0]["ratio_to_torch_eager"] == pytest.approx(1.5)  # of 1, 3 and 1.5
    assert rows[0]["gemm_share"] == pytest.approx(3.815571456e9 / 50e9 / 0.6)
    assert [line["backend"] for line in rows] == ["numpy", "torch"]
    cells = table(rows).splitlines()[1].split()
    assert cells == "micro tinyllm 600.0 100.0 400.0 100.0 1.50 1,280 3.8 13% 100".split()
    for fact in (f"{CORES} cores", "--threads 2", "python 3.", "library of tinyllm 1.0, library of torch-eager 1.0",
                 rows[0]["date"], "GEMM rate of numpy 50 GFLOP/s at micro"):  # fmt: skip
        assert fact in facts(rows)
    assert row("micro", flags, ours, None, 50e9)["ratio_to_torch_eager"] is None


def test_the_flops_are_those_of_the_matrix_products():
    """GPT-2 of 1,024 tokens: 6 · (its 124 M weights in products) · 1,024, and attention's lower triangle."""
    weights = 12 * (4 + 8) * 768**2 + 50257 * 768
    attention = 12 * 12 * (2 * 64) * (1024 * 1025 / 2) * 2 * 3  # L · H · pairs of D products · two products · 3 passes
    assert CONFIGS["gpt2-1024"].flops == 6 * 1024 * weights + attention
    everything = attention * 1024 / 1025 * 2
    assert CONFIGS["gpt2-1024"].model_flops == 6 * 1024 * weights + everything, "all of T·T, as is the custom"


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_they_are_those_that_the_package_counts(config):
    assert config.flops == config.tokens * flops_per_token(GPTConfig(**config.sizes))


def test_a_line_for_each_configuration_on_a_terminal(tmp_path):
    terminal, end = pty.openpty()
    bench(tmp_path, *ALONE, stderr=end)
    os.close(end)
    assert os.read(terminal, 10_000).decode().splitlines() == ["measuring micro: tinyllm; rounds: 1"]
    os.close(terminal)


# what it is made of


def test_both_sides_make_the_same_step(monkeypatch):
    """From the same weights to the same weights: one batch, one clipping, one AdamW; torch's is fused."""
    made = {}

    def keep(module, name):
        make = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **options: made.setdefault(module, make(*given, **options)))

    keep(tinyllm, "GPT")
    keep(reference.gpt, "GPT")
    keep(reference.training, "configure_optimizer")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = Config(1, 2, 16, 8, 4, 11, steps=1)
    steps = [tinyllm_step(config, 1)[0], torch_step(config, compiled=False)[0]]
    ours, theirs = made[tinyllm], made[reference.gpt]
    weights = {name: 10 * array for name, array in ours.state_dict().items()}  # gradients longer than the clipping
    ours.load_state_dict(weights)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    for step in steps:
        for _ in range(5):
            step()
    for name, array in theirs.state_dict().items():
        if name.endswith("c_attn.bias"):
            continue  # softmax does not feel the bias of the keys: its gradient is rounding, and AdamW enlarges it
        np.testing.assert_allclose(ours.state_dict()[name], array.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    assert all(group["fused"] for group in made[reference.training].param_groups)


def test_it_needs_numpy_and_safetensors_alone(tmp_path):
    """bench.py and tinyllm's worker, in Pythons that have no other package; torch is for torch's workers."""
    result = bench(tmp_path, *ALONE, first=REFUSE)
    assert (result.code, result.err) == (0, "")
    refused = bench(tmp_path, "-c", "import hypothesis", first=REFUSE, program=())
    assert "ModuleNotFoundError: hypothesis is refused" in refused.err


# what goes wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configs", "mini"], "'mini' is unknown; choose from micro, baby, gpt2, gpt2-1024"),
        (["--configs", ""], "'' is unknown; choose from micro"),
        (["--configs", "none"], "'none' is unknown; choose from micro"),
        (["--configs", "micro,micro"], "'micro,micro' names micro more than once; name it once"),
        (["--peers", "jax"], "'jax' is unknown; choose from torch-eager, torch-tuned, torch-compile, none"),
        (["--peers", "none,torch-eager"], "'none,torch-eager' asks for none and for others; choose none or the others"),
        (["--precision", "bf16"], "--precision and --stand-in are for a GPU; add --backend cupy"),
        (["--backend", "cupy", "--peers", "torch-tuned"], "torch-tuned is torch with other settings of the CPU's"),
        (["--rounds", "0"], "must be a whole number, 1 or more, not '0'"),
        (["--rounds", "nan"], "must be a whole number, 1 or more, not 'nan'"),
        (["--rounds", "²"], "must be a whole number, 1 or more, not '²'"),
        (["--threads", str(CORES + 1)], f"must be at most {CORES}, the cores there are, not '{CORES + 1}'"),
        (["--json", "{folder}/no/rows.json"], "cannot write '{folder}/no/rows.json' (No such file or directory); name"),
        (["--json", "{folder}"], "cannot write '{folder}' (Is a directory); name a file in a folder that exists"),
        (["--json", "{folder}/" + "n" * 300], "(File name too long); name a file"),
        (["--json", "{folder}/rows.json", "--backend", "jax"], "invalid choice: 'jax'"),
        (["--json", "{folder}/old.json", "--backend", "jax"], "invalid choice: 'jax'"),
    ],
)
def test_mistakes_end_it_before_anything_is_measured(tmp_path, arguments, message):
    (tmp_path / "old.json").write_text("[]")
    result = bench(tmp_path, *ALONE, *(argument.format(folder=tmp_path) for argument in arguments))
    assert result.code == 2 and result.lines <= 3 and message.format(folder=tmp_path) in result.err
    assert not result.out and not workers(tmp_path)
    assert not (tmp_path / "rows.json").exists() and (tmp_path / "old.json").read_text() == "[]"


NO_CUPY = "sys.modules['cupy'] = None\n"


def test_a_backend_that_is_not_there_is_told_in_one_line(tmp_path):
    result = bench(tmp_path, *ALONE, "--backend", "cupy", first=NO_CUPY)
    message = "bench: backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'\n"
    assert (result.code, result.out, result.err) == (2, "", message) and not workers(tmp_path)


def test_without_torch_it_says_how_to_go_on(tmp_path):
    result = bench(tmp_path, *QUICK, first=NO_TORCH)
    assert result.code == 2 and result.lines <= 3 and not workers(tmp_path)
    assert "--peers torch-eager needs torch: pip install torch, or use --peers none" in result.err


def test_a_peer_that_cannot_start(tmp_path):
    result = bench(tmp_path, *QUICK, first=BROKEN_TORCH)
    assert result.code == 1 and result.lines == 2 and not any(map(alive, workers(tmp_path)))
    assert "bench: torch-eager at micro: ModuleNotFoundError: import of torch halted" in result.err
    assert "bench: torch-eager at micro ended for the reason above" in result.err


def test_out_of_memory_keeps_what_was_measured(tmp_path):
    rows = tmp_path / "rows.json"
    result = bench(tmp_path, *ALONE, "--configs", "micro,gpt2", "--json", rows, first=LITTLE_MEMORY)
    assert result.code == 1 and result.lines == 2
    assert "bench: tinyllm at gpt2: " in result.err and "Unable to allocate" in result.err
    assert "if memory ran out, choose smaller --configs or fewer --peers" in result.err
    assert [line["config"] for line in json.loads(rows.read_text())] == ["micro"] and "micro" in result.out


def test_a_worker_that_is_killed(tmp_path):
    with started(tmp_path, *ALONE, first=STUCK) as process:
        os.kill(wait_for_worker(tmp_path), signal.SIGKILL)
        result = outcome(process)
    assert (result.code, result.out) == (1, "")
    assert result.err == ("bench: tinyllm at micro was killed by signal 9; "
                          "if memory ran out, choose smaller --configs or fewer --peers\n")  # fmt: skip


def test_ctrl_c_ends_the_workers(tmp_path):
    with started(tmp_path, *ALONE, first=STUCK) as process:
        worker = wait_for_worker(tmp_path)
        assert os.getpgid(worker) != process.pid  # it hears nothing of it, and has nothing to say
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the whole group
        result = outcome(process)
    assert (result.code, result.out, result.err) == (130, "", "bench: stopped\n")
    assert not alive(worker)
