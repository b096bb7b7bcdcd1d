"""What is said of what a GPU is to reach, and of what compute-sanitizer found."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks.gpu import every_kernel, sanitizer
from benchmarks.gpu.targets import TARGETS, reached, table


def sections(**speeds):
    return {"steps": {"rows": [{"what": f"{name.replace('_', ' ')}: ratios", **row} for name, row in speeds.items()]}}


def test_the_worst_of_what_was_measured_decides():
    found = reached(sections(**{
        "gpt2-b4_bf16": {"speed_to_torch_eager": 1.5, "memory_to_torch_eager": 0.9},
        "gpt2-b8_bf16": {"speed_to_torch_eager": 1.25, "memory_to_torch_eager": 1.2},
        "micro_fp32": {"speed_to_torch_eager": 3.5},
    }))  # fmt: skip
    by_name = {row["what"]: row for row in found}
    bf16 = by_name["gpt2 bf16, B=4, 8: speed_to_torch_eager"]
    assert (bf16["worst"], bf16["where"], bf16["measured"], bf16["reached"]) == (1.25, "gpt2-b8 bf16", 2, False)
    assert by_name["micro, baby: speed_to_torch_eager"]["reached"]
    memory = by_name["peak memory: memory_to_torch_eager"]
    assert (memory["worst"], memory["reached"]) == (1.2, False), "of memory less is better"
    assert not by_name["gpt2 bf16, B=32: mfu"]["reached"], "nothing was measured"
    lines = table(found).splitlines()
    assert "short gpt2 bf16, B=4, 8: speed_to_torch_eager ≥ 1.3: 1.25 at gpt2-b8 bf16, the worst of 2" in lines
    assert lines[-1] == f"{len(TARGETS) - 3} of {len(TARGETS)} targets: nothing measured"


def test_mfu_and_generation_have_their_rows():
    found = reached({
        "steps": {"rows": [{"what": "gpt2-b32 bf16: tinyllm", "mfu": 0.47}]},
        "generation": {"rows": [{"what": "generation bf16: ratios", "speed_to_torch_eager": 2.5}]},
    })  # fmt: skip
    assert [row["what"] for row in found if row["reached"]] == [
        "gpt2 bf16, B=32: mfu", "generation, batch 1, 124M: speed_to_torch_eager",
    ]  # fmt: skip


STARTED = json.dumps({"started": ["a", "b"], "never": []})
CLEAN = f"========= COMPUTE-SANITIZER\n{STARTED}\n========= ERROR SUMMARY: 0 errors\n"
RACE = f"{STARTED}\n========= Error: Race reported between Write and Read\n========= RACECHECK SUMMARY: 1 hazard\n"
CASES = [
    (0, CLEAN, True, {"summary": "0 errors", "kernels": 2}),
    (9, RACE, False, {"summary": "1 hazard", "first": "Error: Race reported between Write and Read"}),
    (0, CLEAN.replace('"never": []', '"never": ["c"]'), False, {"never": "c"}),
    (1, "=== Device not supported\n", False, {"failed": "exit code 1: === Device not supported"}),
]  # fmt: skip


@pytest.mark.parametrize("code, text, ok, more", CASES)
def test_what_the_sanitizer_found(code, text, ok, more, monkeypatch):
    done = SimpleNamespace(returncode=code, stdout=text, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: done)
    row = sanitizer.checked("memcheck", "compute-sanitizer")
    assert row["ok"] is ok and row.items() >= more.items()


def test_without_it_that_is_said(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *arguments, **options: None)
    assert list(sanitizer.sanitizer(False)) == [
        {"what": "compute-sanitizer is not installed: nothing was checked", "ok": False}
    ]


def test_the_kernels_of_a_source():
    text = 'extern "C" __global__ void a(int x) {}\nextern "C" __global__ void __launch_bounds__(4, 2)\nb(int y) {}'
    assert every_kernel.kernels_of(text) == ["a", "b"]
