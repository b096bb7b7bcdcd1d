"""A torch tutorial runs here once its imports name tinyllm: each snippet is run under both, and they agree."""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

TORCH = {
    "import tinyllm as torch": "import torch",
    "from tinyllm import nn, optim": "from torch import nn, optim",
    "from tinyllm.nn import functional as F": "from torch.nn import functional as F",
    "from tinyllm.data import DataLoader, Dataset": "from torch.utils.data import DataLoader, Dataset",
}
SNIPPETS = {path.stem: path.read_text("utf-8") for path in sorted(Path(__file__).with_name("snippets").glob("*.py"))}
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")  # not the 1 in linear1.weight

# Of max(1, |number|). float32 keeps 6e-8 of a number; after the 2,400 steps of diabetes.py we see 3e-7 at most, while
# a backward or a rate that is wrong by a thousandth is outside the bound.
BOUND = 1e-6


def under_torch(source):
    """The source with its import lines, and nothing else, replaced by torch's."""
    return "\n".join(TORCH.get(line, line) for line in source.split("\n"))


def run(source, *arguments):
    """What the snippet printed, and the names it left behind."""
    printed, names, argv = io.StringIO(), {"__name__": "__main__"}, sys.argv
    try:
        sys.argv = ["snippet.py", *arguments]
        with contextlib.redirect_stdout(printed):
            exec(compile(source, "snippet.py", "exec"), names)
    finally:
        sys.argv = argv
    return printed.getvalue(), names


def run_both(name, *arguments):
    """The snippet under tinyllm as it is and under torch; asserts that they print the same words and numbers."""
    ours, our_names = run(SNIPPETS[name], *arguments)
    theirs, their_names = run(under_torch(SNIPPETS[name]), *arguments)
    assert (our_names["torch"].__name__, their_names["torch"].__name__) == ("tinyllm", "torch")
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    assert_close(numbers(ours), numbers(theirs))
    if "model" in our_names:
        assert_same_model(our_names["model"], their_names["model"])
    return ours, our_names, their_names


def numbers(text):
    return np.array([float(number) for number in NUMBER.findall(text)])


def assert_close(ours, theirs, what="printed"):
    assert ours.shape == theirs.shape
    error = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    worst = np.unravel_index(error.argmax(), error.shape)
    assert error[worst] <= BOUND, f"{what}{list(map(int, worst))}: tinyllm {ours[worst]}, torch {theirs[worst]}"


def assert_same_model(ours, theirs):
    """Every weight, and the last gradient of each."""
    ours, theirs = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert list(ours) == list(theirs)
    for name, parameter in theirs.items():
        assert_close(ours[name].detach().numpy(), parameter.detach().numpy(), name)
        assert_close(ours[name].grad, parameter.grad.numpy(), f"{name}.grad")


def test_the_import_lines_are_the_four():
    used = set()
    for name, source in SNIPPETS.items():
        imports = re.findall(r"^(?:import|from)\b.*$", source, re.M)
        used.update(line for line in imports if "tinyllm" in line)
        assert not [line for line in imports if "torch" in line and "tinyllm" not in line], name
        assert "tinyllm" not in under_torch(source), f"{name} names tinyllm beside its import lines"
    assert used == set(TORCH)


def test_single_neuron():
    text, ours, theirs = run_both("single_neuron")
    assert text.splitlines() == ["loss 0.0852", "w.grad -0.0898", "b.grad -0.0817"]
    for name in ("w", "b"):
        assert_close(ours[name].grad, theirs[name].grad.numpy(), name)
    a = 1 / (1 + np.exp(-1.1 * 2.2))
    assert_close(np.array([ours["loss"].item(), *map(float, (ours["w"].grad, ours["b"].grad))]),
                 np.array([-np.log(a), (a - 1) * 1.1, a - 1]))


def test_two_layer_net():
    text, ours, _ = run_both("two_layer_net")
    lines = text.splitlines()
    assert len(lines) == 5 * (1 + 4)  # a loss and four gradients each step
    assert [len(numbers(line)) for line in lines[1:5]] == [50, 5, 5, 1]
    assert (np.abs(numbers(lines[1])) > 1e-4).all(), "a dead ReLU would show no gradient"
    losses = [float(line.split()[-1]) for line in lines[::5]]
    assert losses == sorted(losses, reverse=True)


def assert_trained(text, names):
    *epochs, accuracy = text.splitlines()
    assert len(epochs) == 100
    losses = [float(line.split()[-1]) for line in epochs]
    assert losses[-1] < losses[0] - 0.05
    positive = names["table"][:, -1].mean()
    assert float(accuracy.split()[-1]) > max(positive, 1 - positive), "no better than one answer for everybody"


def test_diabetes():
    text, names, _ = run_both("diabetes")
    assert names["table"].shape == (768, 9)
    assert_trained(text, names)


@pytest.mark.skipif("TINYLLM_DATA" not in os.environ, reason="set TINYLLM_DATA to a folder that holds "
                    "diabetes/pima-indians-diabetes.csv")
def test_diabetes_of_the_real_patients():
    path = Path(os.environ["TINYLLM_DATA"]) / "diabetes" / "pima-indians-diabetes.csv"
    text, names, _ = run_both("diabetes", str(path))
    x = names["dataset"].x.numpy()
    assert x.shape == (768, 8) and (x.min(axis=0) == -1).all() and (x.max(axis=0) == 1).all()
    assert_trained(text, names)
