"""NVIDIA's compute-sanitizer over every kernel: does one reach beside its arrays, or do its threads race?"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu import every_kernel

TOOLS = ("memcheck", "racecheck")
TOOLKITS = ("/usr/local/cuda/bin", "/opt/cuda/bin")  # where it may be, if not on the PATH
ERRORS = 9  # the exit code that says it found some


def sanitizer(small):
    """Every kernel of ours started once or more at odd sizes, under memcheck and racecheck."""
    if small:
        found, missing = every_kernel.start_all(small=True)
        yield {"what": "kernels started", "ok": bool(found), "kernels": len(found), "never": ", ".join(missing)}
        return
    program = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(TOOLKITS))
    if program is None:
        yield {"what": "compute-sanitizer is not installed: nothing was checked", "ok": False}
        return
    for tool in TOOLS:
        yield checked(tool, program)


def checked(tool, program):
    """The row of a tool."""
    command = [program, "--tool", tool, "--error-exitcode", str(ERRORS), sys.executable, Path(every_kernel.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    summary = re.search(r"=+ (?:ERROR|RACECHECK) SUMMARY: (.*)", done.stdout)
    started = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
    if not summary or not started:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return {"what": tool, "ok": False, "failed": f"exit code {done.returncode}: {''.join(last)}"}
    kernels = json.loads(started[0])
    return {"what": tool, "ok": done.returncode == 0 and not kernels["never"], "summary": summary[1],
            "kernels": len(kernels["started"]), "never": ", ".join(kernels["never"]),
            "first": next(iter(re.findall(r"=+ ((?:Invalid|Error|Warning)[^\n]*)", done.stdout)), "")}  # fmt: skip
