"""benchmarks/gpu_check.py on the stand-in, and what is said of the newest result of a real GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyllm import proof
from tinyllm.cli.app import main

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"
OURS = """
import sys
for name in ("rich", "cyclopts", "tiktoken", "pooch", "hypothesis", "pytest", "latex2mathml"):
    sys.modules[name] = None
"""


def run(folder, *arguments, first=OURS):
    (folder / "sitecustomize.py").write_text(first)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)


def test_every_section_runs_with_no_other_packages_and_is_saved(tmp_path):
    out = tmp_path / "result.json"
    done = run(tmp_path, "--stand-in", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"all as it must be; saved to {out}" in done.stdout and "BAD" not in done.stdout
    result = json.loads(out.read_text())
    assert result["card"] == proof.STAND_IN and tuple(result["sections"]) == proof.SECTIONS
    assert all(section["ok"] and section["rows"] for section in result["sections"].values())
    assert result["files"] == proof.digests()
    errors = [row for section in result["sections"].values() for row in section["rows"] if "bound" in row]
    assert len(errors) > 100 and all(0 <= row["error"] <= row["bound"] <= 0.1 for row in errors)
    assert all(row["bound"] < 1e-2 for row in errors if "tf32" not in row["what"] and "bf16" not in row["what"])
    steps = {row["what"]: row for row in result["sections"]["steps"]["rows"]}
    for precision in ("fp32", "tf32", "bf16"):
        assert steps[f"tiny {precision}: tinyllm"]["flop_floor_ms"] > 0 < steps[f"tiny {precision}: tinyllm"]["mfu"]
        assert steps[f"tiny {precision}: ratios"]["speed_to_torch_eager"] > 0
    [started] = result["sections"]["sanitizer"]["rows"]
    assert started["never"] == "", "every kernel there is"
    assert len(result["targets"]) == 12 and "11 of 12 targets: nothing measured" in done.stdout
    # one section anew, into the same file
    del result["sections"]["products"], result["sections"]["resume"]
    out.write_text(json.dumps(result))
    done = run(tmp_path, "--stand-in", "--only", "products,resume", "--out", out)
    assert done.returncode == 0 and set(json.loads(out.read_text())["sections"]) == set(proof.SECTIONS)
    # sources that have changed
    result["files"]["tinyllm/backend.py"] = "other"
    out.write_text(json.dumps(result))
    done = run(tmp_path, "--stand-in", "--only", "resume", "--out", out)
    assert "is of other sources, versions or another card: it is begun anew" in done.stdout
    assert set(json.loads(out.read_text())["sections"]) == {"resume"}


def test_a_wrong_number_and_an_error_end_it_with_1(tmp_path):
    here = OURS + f"sys.path.insert(0, {str(ROOT)!r})\n"
    wrong = here + "import tinyllm.backend\ntinyllm.backend.product_error = lambda backend: 3e-4\n"
    done = run(tmp_path, "--stand-in", "--only", "products", first=wrong)
    assert done.returncode == 1 and "BAD cupy's: one matrix and a batch of them: 3.0e-04, bound 1e-05" in done.stdout
    assert "out of bounds or failed: products; nothing saved" in done.stdout
    broken = here + "import tinyllm.random\ntinyllm.random.dropout_step = None\n"
    done = run(tmp_path, "--stand-in", "--only", "training", first=broken)
    assert done.returncode == 1 and "failed: TypeError: 'NoneType' object is not callable" in done.stdout


def test_without_cupy_it_says_so_in_one_line(tmp_path):
    done = run(tmp_path, first=OURS + "sys.modules['cupy'] = None\n")
    message = "gpu_check: backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_a_section_that_is_none_is_named(tmp_path):
    done = run(tmp_path, "--only", "ops,speed")
    assert done.returncode == 2 and "'speed' is no section; choose from probes, products, ops" in done.stderr


# the newest result


def test_the_newest_result_of_a_real_gpu_is_of_these_files():
    """Never red for want of a GPU: a skip says what has not been shown."""
    result = proof.newest()
    if result is not None:
        assert result["card"] and result["versions"]["cupy"] and result["driver"] and result["date"]
        assert set(result["sections"]) <= set(proof.SECTIONS) and result["files"]
        for section in result["sections"].values():
            assert all("what" in row for row in section["rows"])
    if result is None or proof.changed(result):
        pytest.skip(proof.standing())


def test_what_is_said_of_it(tmp_path):
    assert proof.standing(tmp_path) is None, "a wheel has no results"
    (tmp_path / "tinyllm").mkdir()
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    for name in ("tinyllm/a.py", "tinyllm/b.py", "tinyllm/c.py", "tinyllm/d.py", "benchmarks/gpu_check.py"):
        (tmp_path / name).write_text(name)

    def add(name, date, card="NVIDIA H200", bad=()):
        sections = {section: {"ok": section not in bad, "rows": []} for section in proof.SECTIONS}
        result = {"card": card, "date": date, "files": proof.digests(tmp_path), "sections": sections}
        (tmp_path / "benchmarks/results" / name).write_text(json.dumps(result))

    add("gpu-try.json", "2027-01-01T00:00:00+00:00", card=proof.STAND_IN)
    assert proof.standing(tmp_path).startswith("there is no GPU proof yet: python benchmarks/gpu_check.py makes one")
    add("gpu-old.json", "2026-01-01T00:00:00+00:00", bad=proof.SECTIONS)
    add("gpu-h200.json", "2026-03-01T00:00:00+00:00", bad=("ops",))
    assert proof.standing(tmp_path) == "GPU proof of 2026-03-01 (NVIDIA H200): not shown: ops"
    add("gpu-h200.json", "2026-03-02T00:00:00+00:00")
    assert proof.standing(tmp_path) == "GPU proof of 2026-03-02 (NVIDIA H200): every section within its bounds"
    (tmp_path / "tinyllm/b.py").write_text("changed")
    assert proof.standing(tmp_path) == "GPU proof is stale: tinyllm/b.py changed since 2026-03-02 (NVIDIA H200)"
    (tmp_path / "tinyllm/a.py").unlink()
    for name in ("tinyllm/c.py", "tinyllm/new.py", "benchmarks/gpu_check.py"):
        (tmp_path / name).write_text("changed")
    assert proof.standing(tmp_path) == ("GPU proof is stale: benchmarks/gpu_check.py, tinyllm/a.py, tinyllm/b.py and 2 "
                                        "more changed since 2026-03-02 (NVIDIA H200)")  # fmt: skip


def test_doctor_says_it(capsys, monkeypatch):
    with pytest.raises(SystemExit, match="0"):
        main(["doctor"])
    assert proof.standing() in capsys.readouterr().out.splitlines()
    monkeypatch.setattr(proof, "standing", lambda: None)
    with pytest.raises(SystemExit, match="0"):
        main(["doctor"])
    assert "proof" not in capsys.readouterr().out


def test_the_files_that_count_are_there():
    found = proof.digests()
    for name in ("tinyllm/backend.py", "tinyllm/ops/attention.py", "tinyllm/training/step.py",
                 "benchmarks/gpu_check.py", "benchmarks/gpu/numbers.py", "tinyllm/optim/adamw.py"):  # fmt: skip
        assert re.fullmatch("[0-9a-f]{64}", found[name])
    assert not any(name.startswith(("tinyllm/cli", "tinyllm/tracing", "tests")) for name in found)
