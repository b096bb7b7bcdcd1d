"""bench.py scaling: its model counts what a step has; how fast anything is decides no test."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.intercept import calls_of
from benchmarks.scaling import BASE
from benchmarks.worker import batch
from tinyllm import GPT, GPTConfig

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench.py"
LITTLE = replace(BASE, n_embd=32, n_head=2, batch_size=2)


def bench(*arguments):
    return subprocess.run([sys.executable, BENCH, "scaling", *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("change", [{}, {"block_size": 97}, {"block_size": 512}, {"n_layer": 5}, {"vocab_size": 5000},
                                    {"batch_size": 3}, {"n_embd": 96}])  # fmt: skip
def test_the_model_of_the_memory_counts_what_a_forward_saves(change):
    """To the number, but for the ids and a few numbers a word and a block of words of the head."""
    config = replace(LITTLE, **change)
    model = GPT(GPTConfig(**config.sizes))
    assert scaling.parameters(config) == sum(p.data.size for p in model.parameters())
    calls = calls_of(model, *batch(config))
    saved = {call["op"]: 0 for call in calls}
    for call in calls:
        saved[call["op"]] += call["saved"]
    head = config.tokens * config.vocab_size + config.tokens * config.n_embd
    body = sum(saved.values()) - saved["embedding"] - saved["linear_cross_entropy"]
    assert body == 4 * (scaling.saved_numbers(config) - head)
    assert 0 <= saved["linear_cross_entropy"] - 4 * head <= 64 * config.tokens


def test_each_size_is_doubled_by_itself():
    points = scaling.points(scaling.SIZES)
    assert [value for letter, value, _ in points if letter == "L"] == [2, 4, 8, 16]
    for letter, value, config in points:
        assert replace(config, **{scaling.SIZES[letter][0]: getattr(BASE, scaling.SIZES[letter][0])}) == BASE
        assert getattr(config, scaling.SIZES[letter][0]) == value and config.n_embd % config.n_head == 0


def test_the_models_beside_what_was_measured(tmp_path):
    rows = [{"size": "L", "value": n, "step_ms": 10.0 * n, "gflop": 0.5 * n, "gemm_gflops": 90.0 + 10 * i, "threads": 1,
             "peak_memory_mb": 50.0 + n, "numbers_mb": 2.0 * n, "versions": {}, "machine": "m", "date": "d"}
            for i, n in enumerate((2, 4, 8))]  # fmt: skip
    made = scaling.with_model(rows)
    assert [row["floor_ms"] for row in made] == [pytest.approx(5 * n) for n in (2, 4, 8)]
    assert [row["gemm_floor_ratio"] for row in made] == [pytest.approx(2)] * 3
    assert [row["model_mb"] for row in made] == [52, 56, 64]
    scaling.draw(made, tmp_path / "curve.svg")
    assert "matrix products at 100 GFLOP/s" in (tmp_path / "curve.svg").read_text("utf-8")


def test_a_configuration_without_a_name_is_measured():
    row = scaling.measure("L", 2, LITTLE, rounds=1, threads=1)
    assert row["gflop"] == LITTLE.flops / 1e9 and row["numbers_mb"] < row["peak_memory_mb"] < 1000
    assert row["step_ms"] > 0 and json.dumps(row)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "T,X"], "'X' is unknown; choose from T, C, L, V, B"),
        (["--picture", "curve.txt"], "--picture must be a .png or an .svg, not 'curve.txt'"),
        (["--json", "/no/rows.json"], "cannot write '/no/rows.json'"),
        (["--rounds", "0"], "must be a whole number, 1 or more, not '0'"),
    ],
)
def test_mistakes_end_it_with_a_line(arguments, message):
    result = bench(*arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
