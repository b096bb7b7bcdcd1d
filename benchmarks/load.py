"""How long a model of GPT-2's size takes to load, and how much memory it and one forward of 1,024 tokens take.

    python benchmarks/load.py            random weights of the 124M model, written to a temporary folder first
    python benchmarks/load.py FOLDER     a model that is there

Each load is a process of its own; what its imports take is not counted. The weights are in the page cache.
"""

import json
import subprocess
import sys
import tempfile

LOAD = """
import json, re, sys, time
import numpy as np
import tinyllm.data.hub, tinyllm.models.gpt
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024  # of Linux
before, start = peak(), time.perf_counter()
model = tinyllm.GPT.from_pretrained(sys.argv[1])
seconds = time.perf_counter() - start
T = min(1024, model.block_size)
with model.evaluating():
    logits = model(np.arange(T)[None] % model.config.vocab_size)
weights = sum(p.data.nbytes for p in model.parameters())
print(json.dumps({"seconds": seconds, "weights": weights, "logits": logits.data.nbytes, "peak": peak() - before}))
"""


def main():
    with tempfile.TemporaryDirectory() as made:
        if len(sys.argv) > 1:
            folder = sys.argv[1]
        else:
            from tinyllm import GPT, GPTConfig

            folder = made
            GPT(GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768)).save_pretrained(made)
        runs = [json.loads(subprocess.run([sys.executable, "-c", LOAD, folder], capture_output=True, check=True).stdout)
                for _ in range(3)]  # fmt: skip
    best, peak = min(run["seconds"] for run in runs), max(run["peak"] for run in runs)
    needed = runs[0]["weights"] + runs[0]["logits"]
    print(f"loaded in {best:.2f} s, the best of {len(runs)}\n"
          f"weights {runs[0]['weights'] / 1e6:.0f} MB, logits {runs[0]['logits'] / 1e6:.0f} MB, "
          f"peak {peak / 1e6:.0f} MB: {peak / needed:.2f} times both")


if __name__ == "__main__":
    main()
