"""Everything that only a real GPU can show, in one run of less than 8 minutes: right numbers first, then the speed.

    python benchmarks/gpu_check.py                     all of it, to benchmarks/results/gpu-CARD.json
    python benchmarks/gpu_check.py --only ops,model    these sections, into the same file
    python benchmarks/gpu_check.py --stand-in          on the tests' stand-in, in small: does the script itself work?

What is there is saved after each row. A file that was made of other sources is begun anew. `tinyllm doctor` and the
tests say when a result is stale.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tinyllm.proof import RESULTS, SECTIONS, STAND_IN, digests  # noqa: E402


def functions():
    """{section: what makes its rows}"""
    from benchmarks.gpu import graphs, kernels, numbers, sanitizer, speed

    parts = (numbers, kernels, graphs, speed, sanitizer)
    return {name: next(getattr(part, name) for part in parts if hasattr(part, name)) for name in SECTIONS}


def circumstances():
    """Card, driver, versions and date of this run."""
    import cupy
    import numpy as np
    import torch

    from tinyllm.backend import card

    found = card()
    return {
        "card": found["gpu"],
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "driver": driver(),
        "cuda_driver": found["cuda_driver"],
        "cuda_runtime": found["cuda_runtime"],
        "gpu_memory_bytes": found["gpu_memory_bytes"],
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "cupy": cupy.__version__,
                     "torch": torch.__version__},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "torch_on": torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU",
        "files": digests(),
    }  # fmt: skip


def driver():
    """The version of NVIDIA's driver, as nvidia-smi says it; None where it says nothing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.split("\n")[0] or None
    except (OSError, subprocess.TimeoutExpired):
        return None


def begun(path, facts):
    """The result that goes on in a file: its sections are kept where card and sources are the same."""
    if path and path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if all(before[key] == facts[key] for key in ("card", "files", "versions")):
            return {**facts, "sections": before["sections"]}
        print(f"{path} is of other sources, versions or another card: it is begun anew")
    return {**facts, "sections": {}}


def run(name, rows_of, result, small, save):
    """Fill a section row by row; an error ends the section, and is written down."""
    print(f"\n{name}: {' '.join(rows_of.__doc__.split())}", flush=True)
    section = result["sections"][name] = {"ok": False, "seconds": 0.0, "rows": []}
    start = time.perf_counter()
    try:
        for row in rows_of(small):
            section["rows"].append(row)
            section["seconds"] = round(time.perf_counter() - start, 1)
            print("  " + shown(row), flush=True)
            save()
        section["ok"] = all(row.get("ok", True) and "failed" not in row for row in section["rows"])
    except Exception as error:
        section["error"] = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(f"  failed: {section['error']}", flush=True)
    save()


def shown(row):
    """A row as a line."""
    if "bound" in row:
        return f"{'ok ' if row['ok'] else 'BAD'} {row['what']}: {row['error']:.1e}, bound {row['bound']:.0e}"
    numbers = {key: value for key, value in row.items() if key != "what" and value is not None}
    texts = (f"{key} {value:,.3g}" if isinstance(value, float) and value < 1000 else f"{key} {value:,.0f}"
             if isinstance(value, (int, float)) else f"{key} {value}" for key, value in numbers.items())  # fmt: skip
    return f"{row['what']}: {', '.join(texts)}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="SECTIONS", type=sections, default=SECTIONS, help=", ".join(SECTIONS))
    parser.add_argument("--stand-in", action="store_true", help="try the script without a GPU; shows nothing")
    parser.add_argument("--out", type=Path, help=f"JSON file of the result (by default {RESULTS}/gpu-CARD.json)")
    return parser.parse_args()


def sections(text):
    chosen = text.split(",")
    for name in chosen:
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(f"{name!r} is no section; choose from {', '.join(SECTIONS)}")
    return chosen


def main():
    flags = parse()
    if flags.stand_in:
        from tests.fake_cupy import stand_in as around
    else:
        around = nullcontext
    with around():
        from tinyllm.backend import require

        try:
            require("cupy")
        except ImportError as error:
            print(f"gpu_check: {error}", file=sys.stderr)
            sys.exit(2)
        sys.exit(check(flags))


def check(flags):
    """Do the sections; the exit code: 1 where something is not as it must be."""
    facts = circumstances()
    slug = re.sub("[^a-z0-9]+", "-", facts["card"].lower()).strip("-")
    path = flags.out or (None if facts["card"] == STAND_IN else ROOT / RESULTS / f"gpu-{slug}.json")
    result = begun(path, facts)
    print(", ".join(f"{key} {value}" for key, value in facts.items() if key not in ("files", "versions")))
    print(", ".join(" ".join(pair) for pair in facts["versions"].items()))

    def save():
        if path:
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    from benchmarks.gpu.targets import reached, table

    available = functions()
    for name in flags.only:
        run(name, available[name], result, flags.stand_in, save)
    found = result["targets"] = reached(result["sections"])
    save()
    print(f"\n{table(found)}")
    bad = [name for name in flags.only if not result["sections"][name]["ok"]]
    seconds = sum(result["sections"][name]["seconds"] for name in flags.only)
    print(f"\n{seconds:.0f} s; {'out of bounds or failed: ' + ', '.join(bad) if bad else 'all as it must be'}"
          + (f"; saved to {path}" if path else "; nothing saved"))  # fmt: skip
    return 1 if bad else 0


if __name__ == "__main__":
    main()
