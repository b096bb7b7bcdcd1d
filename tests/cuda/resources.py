"""What each kernel takes of a multiprocessor: its registers a thread and its bytes of shared memory, as nvcc tells.

    python -m tests.cuda.resources        writes resources.txt anew, beside this file; read the difference

A kernel that needs more than is committed there runs fewer threads at a time: that is worth a thought, and then a line.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cuda.shim import cache_folder
from tests.cuda.subjects import SUBJECTS, variants
from tinyllm.kernels.cuda.compile import options, source

TABLE = Path(__file__).parent / "resources.txt"

FLAGS = ("-arch=sm_90", "-cubin", "-Xptxas", "-v", "-Werror", "all-warnings")
ENTRY = re.compile(r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
                   r"spill loads.*?Used (\d+) registers(?:[^\n]*?(\d+) bytes smem)?[^\n]*\n", re.DOTALL)  # fmt: skip


def compiler():
    return shutil.which("nvcc")


def compiled(text, flags):
    """What nvcc says of a source, kept from one run to the next; RuntimeError of an error or a warning."""
    known = cache_folder() / f"{hashlib.sha256(repr((text, flags)).encode()).hexdigest()[:24]}.nvcc"
    if not known.exists():
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "kernels.cu").write_text(text, "utf-8")
            command = [compiler(), *FLAGS, *flags, "kernels.cu", "-o", "kernels.cubin"]
            result = subprocess.run(command, cwd=work, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"nvcc: {result.stdout}{result.stderr}")
        known.write_text(result.stderr, "utf-8")
    return known.read_text("utf-8")


def resources(subject, dtype, define=()):
    """{kernel: (registers, bytes of shared memory, bytes spilled)}"""
    entries = ENTRY.findall(compiled(source(subject), options(dtype, define)))
    return {name: (int(registers), int(shared or 0), int(frame) + int(stores) + int(loads))
            for name, frame, stores, loads, registers, shared in entries}  # fmt: skip


def read_table():
    """{(name of a variant, dtype, kernel): (registers, shared memory)} as committed."""
    rows = (line.split() for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return {tuple(row[:3]): tuple(map(int, row[3:])) for row in rows}


def write_table():
    lines = ["# subject, dtype, kernel, registers a thread, bytes of shared memory: python -m tests.cuda.resources"]
    for subject in SUBJECTS:
        for name, dtype, define in variants(subject):
            for kernel, (registers, shared, _) in sorted(resources(subject, dtype, define).items()):
                lines.append(f"{name:20} {dtype:9} {kernel:32} {registers:3} {shared:6}")
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    write_table()
