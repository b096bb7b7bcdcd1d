"""The house: what is loaded when, which names there are, and that imports run one way."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tinyllm

ROOT = Path(tinyllm.__file__).parent
ENGINE = "backend observe tensor autograd"
BELOW_NN = f"{ENGINE} random ops display methods"
BELOW_MODELS = f"{BELOW_NN} creation gradcheck nn generation"
ALLOWED = {  # part of the package: what it may import beside itself
    "__init__": "",  # its names are loaded when they are used
    "backend": "",
    "proof": "",
    "precision": "",
    "rounding": "",
    "files": "",
    "observe": "backend",
    "random": "backend",
    "tensor": "backend",
    "arguments": "backend tensor",
    "autograd": "backend observe tensor arguments places rounding",
    "places": "backend tensor",
    "ops": "backend autograd",  # an op knows nothing of Tensor
    "display": "backend",  # it is shown tensors and modules, and imports neither
    "methods": f"{ENGINE} ops display",
    "gradcheck": f"{ENGINE} ops methods",
    "creation": BELOW_NN,
    "nn": f"{BELOW_NN} creation gradcheck",
    "optim": f"{ENGINE} places kernels",
    "kernels": "backend random observe autograd places rounding ops precision",
    "parallel": "",
    "tokenizers": f"{BELOW_NN} creation files",
    "data": f"{BELOW_NN} creation files tokenizers",
    "generation": f"{BELOW_NN} rounding creation kernels precision tokenizers",
    "models": f"{BELOW_MODELS} files data",
    "evaluation": BELOW_MODELS,
    "tracing": f"{ENGINE} files display nn ops optim __init__",
    "debug": f"{ENGINE} nn tracing",
    "training": f"{BELOW_MODELS} precision kernels places parallel debug files optim tokenizers data models tracing "
    "__init__",
    "finetune": f"{BELOW_MODELS} precision files debug optim tokenizers data models training",
    "checking": f"{ENGINE} ops gradcheck",
    "exercises": f"{ENGINE} ops methods checking tracing",
    "cli": f"{BELOW_MODELS} checking exercises optim tokenizers data models evaluation tracing debug training finetune "
    "kernels precision proof __init__",
    "__main__": "cli",
}
FORBIDDEN = {"torch"}


def sources(root=ROOT):
    return sorted(root.rglob("*.py"))


def imported(tree, module):
    """The absolute names a file imports, wherever in it; module: its own, ("tinyllm", "ops", "gelu")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*module[: -node.level], node.module] if node.level else [node.module]
            yield from (".".join(filter(None, [*base, alias.name])) for alias in node.names)


def parts(tree, module):
    """The parts of tinyllm a file imports: "ops" for `from ..ops.gelu import gelu`, "__init__" for its public names."""
    names = [name.split(".") for name in imported(tree, module)]
    return {name[1] if len(name) > 1 and name[1] in ALLOWED else "__init__" for name in names if name[0] == "tinyllm"}


def module_of(path):
    return path.relative_to(ROOT.parent).with_suffix("").parts


def parse(path):
    return ast.parse(path.read_text("utf-8"), str(path))


@pytest.mark.parametrize(
    "line, part",
    [
        ("from ..nn.linear import Linear", {"nn"}),
        ("from .. import nn, ops", {"nn", "ops"}),
        ("from . import gelu", {"ops"}),
        ("from .gelu import gelu", {"ops"}),
        ("import tinyllm.models.gpt as gpt", {"models"}),
        ("from tinyllm.models import gpt", {"models"}),
        ("from tinyllm import GPT", {"__init__"}),
        ("import tinyllm", {"__init__"}),
        ("from .. import GPT", {"__init__"}),
        ("import numpy as np, math", set()),
    ],
)
def test_the_reading_of_imports_below_sees_every_form(line, part):
    tree = ast.parse(f"def function():\n    if True:\n        {line}")
    assert parts(tree, ("tinyllm", "ops", "linear")) == part


@pytest.mark.parametrize("path", sources(), ids=lambda path: "/".join(module_of(path)))
def test_imports_run_one_way(path):
    module = module_of(path)
    part = module[1]
    assert part in ALLOWED, f"tinyllm/{part} is new: say in ALLOWED what it may import"
    unexpected = parts(parse(path), module) - {part, *ALLOWED[part].split()}
    assert not unexpected, f"{path} must not import {', '.join(sorted(unexpected))}"


def test_the_table_of_imports_has_no_circle():
    above = {part: set(below.split()) for part, below in ALLOWED.items()}
    while above:
        lowest = {part for part, below in above.items() if not below & set(above)}
        assert lowest, f"a circle among {set(above)}"
        above = {part: below for part, below in above.items() if part not in lowest}


def test_torch_is_imported_nowhere_in_tinyllm_and_tinyllm_nowhere_in_reference():
    for path in sources():
        tops = {name.split(".")[0] for name in imported(parse(path), module_of(path))}
        assert not tops & FORBIDDEN or path.name == "torch_values.py", path  # shows torch's values where it is there
    for path in sources(ROOT.parent / "reference"):
        assert "tinyllm" not in {name.split(".")[0] for name in imported(parse(path), ("reference", path.stem))}, path


def test_only_backend_says_cupy():
    """Docstrings and messages may name it; code that imports it or compares with its name may not."""
    for path in sources():
        tree, module = parse(path), module_of(path)
        if module[1] == "backend" or module[1:3] == ("kernels", "cuda"):
            continue
        said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        said |= {name.split(".")[0] for name in imported(tree, module)}
        said |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "cupy" not in said, f"{path}: what depends on the backend belongs into backend.py"


# what is loaded


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


PRINT_LOADED = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
USE = """
import numpy as np
import tinyllm
model = tinyllm.GPT(tinyllm.GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4, dropout=0.1))
optimizer = tinyllm.AdamW(model.named_parameters())
model.loss(np.zeros((1, 4), int), np.zeros((1, 4), int)).backward()
optimizer.step()
tinyllm.nn, tinyllm.data, tinyllm.tokenizers, tinyllm.gradcheck, tinyllm.zeros(2)
print(model.generate(np.zeros((1, 1), int), 2))
"""


def test_the_core_loads_no_other_array_library_and_no_terminal_library():
    assert importlib.util.find_spec("torch")  # else this proves nothing
    loaded = run(USE + PRINT_LOADED)
    assert "numpy" in loaded
    assert not loaded & {"cupy", "torch", "scipy", "rich", "textual", "cyclopts", "matplotlib", "tiktoken"}


def test_import_tinyllm_loads_not_even_numpy():
    loaded = run("import tinyllm; " + PRINT_LOADED)
    assert "tinyllm" in loaded and "numpy" not in loaded


# names


@pytest.mark.parametrize("name", tinyllm.__all__)
def test_every_public_name_resolves(name):
    assert getattr(tinyllm, name) is not None
    assert name in dir(tinyllm)


def test_public_names_are_listed_once_and_others_do_not_exist():
    assert len(set(tinyllm.__all__)) == len(tinyllm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        tinyllm.nope


@pytest.mark.parametrize("name", ["gradcheck", "tensor", "observe"])
@pytest.mark.parametrize("order", ["{0}; import tinyllm.{1}", "import tinyllm.{1}; {0}"])
def test_a_function_keeps_its_name_when_the_file_of_that_name_is_imported(name, order):
    use = f"from tinyllm import {name}; import tinyllm"
    code = order.format(use, name) + f"; print(type(tinyllm.{name}).__name__, 'tinyllm.{name}' in sys.modules)"
    assert run("import sys; " + code) == {"function", "True"}


def test_dtypes_are_their_names():
    assert [getattr(tinyllm, name) for name in ("float32", "float64", "int32", "int64", "bool")] == [
        "float32",
        "float64",
        "int32",
        "int64",
        "bool",
    ]


@pytest.mark.parametrize("name", ["ops", "nn", "optim", "models", "data", "tokenizers", "generation", "evaluation"])
def test_a_subpackage_defines_what_its_all_lists(name):
    module = importlib.import_module(f"tinyllm.{name}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(getattr(module, public) is not None for public in module.__all__)
