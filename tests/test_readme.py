"""README says what is: its commands, its excerpts, its figures, its links, its examples."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from benchmarks import picture
from tests import debugger

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_it_opens_with_the_two_commands():
    first = re.search(r"```\n(.*?)```", README, re.DOTALL)[1]
    assert first.splitlines() == ["pip install . && tinyllm train", "pip install -e '.[test]' && pytest"]


def test_the_excerpt_is_what_stands_in_the_file():
    excerpt = next(block for block in BLOCKS if "layer_norm_forward" in block)
    assert excerpt.strip() in (ROOT / "tinyllm/ops/layer_norm.py").read_text(encoding="utf-8")


def test_the_debugger_says_what_stands_there():
    assert debugger.SLOT.search(README)[2] == debugger.session(), "run python tests/debugger.py, which writes it anew"


def test_the_pictures_are_there_and_small():
    pictures = re.findall(r'(?:src|srcset)="([^"]*)"', README)
    assert len(pictures) == 4
    assert all(0 < (ROOT / path).stat().st_size < 200_000 for path in pictures)


def test_the_picture_is_of_a_tied_weight_that_gets_its_second_share():
    recording = picture.record()
    i, (row, _) = picture.telling(recording)
    step = recording.steps[i]
    assert (step.value.name, step.nth) == ("wte.weight", 2) and recording.shares(step.value) == 2
    assert (step.call.inputs[0].array == row).sum() == picture.TEXT[:-1].count("t") == 3


def test_the_error_table_is_the_measured_one():
    measured = (ROOT / "benchmarks/results/parity.md").read_text(encoding="utf-8").partition("\n\n")[2]
    assert measured.strip() in README


def test_the_examples_run_one_after_the_other():
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in BLOCKS:
            if "def layer_norm_forward" not in block:
                exec(block, names)
    gradients, check = printed.getvalue().splitlines()
    assert re.search(r"-0\.0898\d* *\] \[-0\.081", gradients)
    assert f"# {gradients}" in README
    assert check.startswith("GradcheckResult(numeric=") and names["gradcheck"](names["cube"], [1.5])


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()
