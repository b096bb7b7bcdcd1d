"""What benchmarks/gpu_check.py has shown on a real GPU, and whether the files it was shown for are still the same."""

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = "benchmarks/results"
STAND_IN = "stand-in"  # the card of a result that shows nothing
COUNTED = (  # what decides the numbers of a GPU, and what measures them
    "tinyllm/*.py", "tinyllm/ops/*.py", "tinyllm/nn/*.py", "tinyllm/models/*.py", "tinyllm/optim/*.py",
    "tinyllm/generation/*.py", "tinyllm/kernels/cuda/*", "tinyllm/training/[gs]*.py", "benchmarks/gpu_check.py",
    "benchmarks/gpu_*worker.py", "benchmarks/gpu/*.py",
)  # fmt: skip
SECTIONS = ("probes", "products", "ops", "kernels", "model", "training", "graph", "decode", "resume", "cudnn", "steps",
            "generation", "crossover", "sanitizer")  # fmt: skip


def digests(root=ROOT):
    """{path: sha256} of the files that a result is about."""
    paths = sorted(path for pattern in COUNTED for path in Path(root).glob(pattern) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def newest(root=ROOT):
    """The newest result of a real GPU, as a dict; None where there is none."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in Path(root, RESULTS).glob("gpu-*.json")]
    return max((result for result in found if result["card"] != STAND_IN), key=lambda r: r["date"], default=None)


def changed(result, root=ROOT):
    """The files that are not what they were for a result: others, new or gone."""
    then, now = result["files"], digests(root)
    return sorted(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))


def standing(root=ROOT):
    """One line on the newest proof: whether there is one, how it went, and whether it is stale. None in a wheel."""
    if not Path(root, RESULTS).is_dir():
        return None
    result = newest(root)
    if result is None:
        return "there is no GPU proof yet: python benchmarks/gpu_check.py makes one, where there is a GPU"
    what = f"{result['date'][:10]} ({result['card']})"
    if files := changed(result, root):
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return f"GPU proof is stale: {', '.join(files[:3])}{more} changed since {what}"
    failed = [name for name in SECTIONS if not result["sections"].get(name, {}).get("ok")]
    how = f"not shown: {', '.join(failed)}" if failed else "every section within its bounds"
    return f"GPU proof of {what}: {how}"
