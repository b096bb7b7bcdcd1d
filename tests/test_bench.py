"""The benchmark runs, and writes what it promises; how fast anything is decides no test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench import CONFIGS

BENCH = Path(__file__).parents[1] / "benchmarks" / "bench.py"
KEYS = {"config", "backend", "peer", "step_ms", "ratio_to_torch_eager", "tokens_per_second", "peak_memory_mb",
        "gemm_floor_ratio", "threads", "versions", "machine"}  # fmt: skip


def bench(*arguments):
    return subprocess.run([sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=300)


def test_a_row_for_each_library(tmp_path):
    result = bench("--rounds", "1", "--threads", "1", "--json", tmp_path / "rows.json")
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["peer"] for row in rows] == ["tinyllm", "torch-eager"]
    for row in rows:
        assert set(row) >= KEYS and row["threads"] == 1
        assert row["tokens_per_second"] == pytest.approx(12 * 64 / row["step_ms"] * 1e3)
        parts = row["forward_ms"] + row["backward_ms"] + row["optimizer_ms"]
        assert row["step_ms"] == pytest.approx(parts, rel=0.01)
    assert rows[1]["ratio_to_torch_eager"] == 1
    assert rows[0]["ratio_to_torch_eager"] == pytest.approx(rows[0]["step_ms"] / rows[1]["step_ms"])
    assert "torch-eager" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configs", "mini"], "'mini' is unknown; choose from micro, baby, gpt2, gpt2-1024"),
        (["--peers", "jax"], "'jax' is unknown; choose from torch-eager, torch-compile"),
        (["--rounds", "0"], "must be 1 or more, not 0"),
    ],
)
def test_mistakes(arguments, message):
    result = bench(*arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr


def test_the_flops_are_those_of_the_matrix_products():
    """GPT-2 of 1,024 tokens: 6 · (its 124 M weights in products) · 1,024, and attention's lower triangle."""
    weights = 12 * (4 + 8) * 768**2 + 50257 * 768
    attention = 12 * 12 * (2 * 1024 * 1024 * 64) / 2 * 2 * 3  # L · H · half of T·T·D · two products · 3 passes
    assert CONFIGS["gpt2-1024"].flops == 6 * 1024 * weights + attention
