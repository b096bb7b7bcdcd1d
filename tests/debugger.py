"""The debugger session in README: python tests/debugger.py runs it again and writes it there.

The script is the python block of README that is called step.py. Paths are shown as seen from the checkout.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
COMMANDS = """next
break ops.layer_norm.backward
continue
p dy.shape, x_hat.shape, rstd.shape
until 38
p bool(abs(dx.sum(axis=-1)).max() < 1e-6)
up
p node
up
up
p loss""".splitlines()
SLOT = re.compile(r"(<!-- pdb: written by tests/debugger.py -->\n```text\n)(.*?)(```\n<!-- /pdb -->)", re.DOTALL)


def session():
    """What a terminal shows when COMMANDS are typed."""
    script = next(re.finditer(r"```python\n(# step\.py\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL))[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder).resolve()
        (folder / "step.py").write_text(script, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "NO_COLOR": "1"}  # HOME: no .pdbrc
        typed = "\n".join([*COMMANDS, "quit\n"])
        command = [sys.executable, "-m", "pdb", "step.py"]
        result = subprocess.run(command, input=typed, capture_output=True, text=True, cwd=folder, env=environment)
    first, *answers = result.stdout.replace(f"{folder}/", "").replace(f"{ROOT}/", "").split("(Pdb) ")
    shown = "".join(f"(Pdb) {command}\n{answer}" for command, answer in zip(COMMANDS, answers))
    return f"$ python -m pdb step.py\n{first}{shown}"


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(SLOT.sub(lambda slot: slot[1] + session() + slot[3], text), encoding="utf-8")
