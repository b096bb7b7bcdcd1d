"""--backend cupy on the command line: where it computes, and one clear line where it cannot."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.command_line import runner
from tinyllm import Tensor
from tinyllm.backend import card, product_error, require

TRAIN = ("--data=cats.txt --n-layer=1 --n-head=1 --n-embd=8 --block-size=8 --batch-size=2 --max-iters=6 "
         "--eval-interval=3 --warmup-iters=1").split()  # fmt: skip


def no_driver():
    raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


def cupy_of(devices, **more):
    return SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=devices)), **more)


def no_nvrtc(shape, dtype):
    raise RuntimeError("CuPy failed to load libnvrtc.so.13: cannot open shared object file\nand more")


MISSING = {
    "no cupy": (None, "backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'"),
    "no driver": (cupy_of(no_driver), "backend 'cupy' finds no NVIDIA GPU that works (cudaErrorInsufficientDriver: "
                  "CUDA driver version is insufficient for CUDA runtime version); install its driver, or choose "
                  "backend 'numpy'"),
    "no GPU": (cupy_of(lambda: 0), "backend 'cupy' finds no NVIDIA GPU here; choose backend 'numpy'"),
    "no CUDA": (cupy_of(lambda: 1, ones=no_nvrtc), "backend 'cupy' finds a GPU and cannot compute on it (RuntimeError: "
                "CuPy failed to load libnvrtc.so.13: cannot open shared object file); pip install "
                "'tinyllm-numpy[cuda]' brings CUDA's libraries, or choose backend 'numpy'"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    (tmp_path / "cats.txt").write_text("the cat sat on the mat\n" * 20)


@pytest.fixture
def run(capsys):
    """Run a command: (exit code, standard output, standard error)."""
    return runner(capsys)


@pytest.fixture
def trained(run):
    assert run("train", *TRAIN, "--out-dir=run", "--quiet") == (0, "", "")


@pytest.mark.parametrize("case", MISSING)
@pytest.mark.parametrize("command", [["train", *TRAIN], ["generate", "run"], ["eval", "run"], ["chat", "run"]],
                         ids=lambda command: command[0])  # fmt: skip
def test_what_is_missing_is_told_in_one_line(case, command, run, monkeypatch):
    module, message = MISSING[case]
    monkeypatch.setitem(sys.modules, "cupy", module)
    assert run(*command, "--backend", "cupy") == (2, "", f"tinyllm: {message}\n")


def test_a_cupy_that_cannot_be_loaded_is_no_missing_one(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcublas.so.13: cannot open shared object file\\nmore')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"cannot load the cupy that is installed \(libcublas.so.13: .* file\); inst"):
        require("cupy")


def test_the_environment_may_not_ask_for_less_precision(cupy, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    with pytest.raises(ImportError, match="CUPY_TF32=1 makes cupy round .* to 10 bits, .* float32; unset it"):
        require("cupy")


def test_to_a_backend_that_is_not_there(monkeypatch):
    def asarray(x):
        raise RuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setitem(sys.modules, "cupy", cupy_of(no_driver, asarray=asarray))
    with pytest.raises(ImportError, match="finds no NVIDIA GPU that works"):
        Tensor([1.0]).to("cupy")


def test_train_and_go_on_with_the_other_backend(cupy, run):
    code, out, _ = run("train", *TRAIN, "--out-dir=run", "--backend=cupy")
    assert code == 0 and "cupy float32" in out and "step      6 of 6" in out
    code, out, _ = run("train", "--resume=run", "--backend=numpy", "--max-iters=8")
    assert code == 0 and "numpy float32" in out and "step      8 of 8" in out


def test_generate_eval_and_chat_say_on_a_gpu_what_they_say_without(cupy, run, trained, monkeypatch):
    for command in (["generate", "run", "--max-new-tokens=20", "--prompt=the"], ["eval", "run"],
                    ["generate", "run", "--max-new-tokens=5", "--prompt=the", "--num-beams=3"]):  # fmt: skip
        before = cupy.counts.launches
        here, there = run(*command), run(*command, "--backend=cupy")
        assert here == there and here[0] == 0 and here[1] and cupy.counts.launches > before


def test_doctor_computes_there(cupy, run, monkeypatch):
    _, out, _ = run("doctor")
    line = next(line for line in out.splitlines() if line.startswith("  cupy  "))
    assert "works, on stand-in; its matrix products are float32 (off by" in line
    monkeypatch.setattr("tinyllm.backend.product_error", lambda backend: 3e-4)
    assert "its matrix products are less precise than float32; please report it (off by 3e-04)" in run("doctor")[1]
    assert card()["gpu_memory_bytes"] == 8 << 30


def test_products_of_rounded_factors_are_seen(cupy, monkeypatch):
    assert product_error("numpy") < 1e-6 and product_error("cupy") < 1e-6

    def rounded(x):
        """With the 10 bits of TF32."""
        return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    monkeypatch.setattr("tests.fake_cupy.array.product", lambda a, b: cupy.ndarray(rounded(a) @ rounded(b)))
    assert product_error("cupy") > 1e-5
