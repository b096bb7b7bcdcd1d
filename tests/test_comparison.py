"""The picture of the comparison in README is drawn from what was measured."""

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import comparison

ROOT = Path(comparison.__file__).parents[1]


def rows():
    return json.loads(comparison.MEASURED.read_text("utf-8"))


def test_times_are_ratios_within_the_rounds_and_memory_beside_torch_eager():
    made = [
        {"config": "a", "peer": peer, "step_ms": ms, "ratio_to_torch_eager": ratio, "peak_memory_mb": mb}
        for peer, ms, ratio, mb in (("tinyllm", 30, 0.7, 50), ("torch-eager", 40, 1.0, 200))
    ]
    assert comparison.groups(made, "step_ms") == {"a": {"tinyllm": (0.7, 30), "torch-eager": (1.0, 40)}}
    assert comparison.groups(made, "peak_memory_mb") == {"a": {"tinyllm": (0.25, 50), "torch-eager": (1.0, 200)}}


def test_the_committed_pictures_are_of_the_committed_rows(tmp_path):
    comparison.main(tmp_path)
    for scheme in comparison.SCHEMES:
        name = f"comparison-{scheme}.svg"
        drawn, committed = ((folder / name).read_text("utf-8") for folder in (tmp_path, comparison.RESULTS))
        said = re.findall(r"<!-- .* -->", drawn)  # matplotlib writes what its glyphs say beside them
        assert said == re.findall(r"<!-- .* -->", committed) and len(said) > 20
        assert any(comparison.circumstances(rows()) in text for text in said)
        assert name in (ROOT / "README.md").read_text("utf-8")


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match=r"pip install 'tinyllm-numpy\[plot\]'"):
        comparison.main(tmp_path)
