"""The error table: every op and the whole model against torch, every op against finite differences.

    python benchmarks/parity.py

writes benchmarks/results/parity.md and the same table into README.md. Errors are the largest difference over the
largest entry of the tensor (in float32 at least 0.1: see tests/op_checks.py), of the value and every gradient, over
many random shapes and options; for finite differences, the difference of the two sides over the size of their terms.
"""

import datetime
import platform
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

import reference.gpt  # noqa: E402
import tinyllm.ops  # noqa: E402, F401  (fills OPS)
from tests.op_cases import examples  # noqa: E402
from tests.op_checks import FLOOR, error, run, run_torch  # noqa: E402
from tinyllm import GPT, GPTConfig, gradcheck  # noqa: E402
from tinyllm.autograd import OPS  # noqa: E402

CASES = 200
MARKS = ("<!-- parity: written by benchmarks/parity.py -->", "<!-- /parity -->")


def op_row(name):
    cases = examples(name, CASES)
    row = [name]
    for dtype in ("float64", "float32"):
        pairs = ((run(OPS[name], case, dtype), run_torch(case, dtype)) for case in cases)
        row.append(max(largest_error(ours, theirs, FLOOR[dtype]) for ours, theirs in pairs))
    smooth = [case for case in cases if case.smooth]
    return row + [max(numeric_error(name, case) for case in smooth)]


def largest_error(ours, theirs, floor):
    pairs = [(ours.y, theirs.y), *((a, b) for a, b in zip(ours.grads, theirs.grads) if a is not None)]
    return max(error(a, b, floor) for a, b in pairs)


def numeric_error(name, case):
    return gradcheck(lambda *inputs: OPS[name](*inputs, **case.options), *case.inputs).error


def model_row():
    """A GPT of nanoGPT's smallest size: logits and the gradients of all parameters, one batch of 4 × 64."""
    config = GPTConfig()
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(0, config.vocab_size, (2, 4, config.block_size))
    row = ["the whole GPT (4 layers, 128 channels)"]
    for dtype in ("float64", "float32"):
        ours = GPT(config, dtype=dtype)
        theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(config))).to(getattr(torch, dtype))
        theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
        ours.loss(ids, targets).backward()
        theirs.loss(torch.from_numpy(ids), torch.from_numpy(targets)).backward()
        grads = dict(theirs.named_parameters())
        errors = [error(p.grad, grads[name].grad.numpy()) for name, p in ours.named_parameters()]
        errors.append(error(ours(ids).data, theirs(torch.from_numpy(ids)).detach().numpy()))
        row.append(max(errors))
    return [*row, None]


def table(rows):
    lines = ["| op | against torch, float64 | against torch, float32 | against finite differences, float64 |",
             "|---|---|---|---|"]  # fmt: skip
    for name, *errors in rows:
        cells = ["" if e is None else "0" if e == 0 else f"{e:.1e}" for e in errors]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    np.seterr(all="raise", under="ignore")
    rows = [op_row(name) for name in sorted(OPS)] + [model_row()]
    made = (f"Largest error over {CASES} random cases an op, relative to the largest entry of the tensor (in float32, "
            f"to {FLOOR['float32']} where all its entries are smaller). Made by `python benchmarks/parity.py` on "
            f"{datetime.date.today()}: {platform.machine()}, Python {platform.python_version()}, "
            f"numpy {np.__version__}, torch {torch.__version__}.")  # fmt: skip
    text = f"{made}\n\n{table(rows)}\n"
    results = ROOT / "benchmarks" / "results" / "parity.md"
    results.parent.mkdir(exist_ok=True)
    results.write_text("# Against torch and finite differences\n\n" + text, encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    readme.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
