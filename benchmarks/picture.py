"""The pictures of the stepper at the top of README: python benchmarks/picture.py

A step of `tinyllm step "to be or not to be"` in Chromium, through playwright: the embedding adds its share to the
gradient of the weight it is tied to, which the output layer already brought. One picture for light and one for dark,
in benchmarks/results/; needs the extra `test`.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import chromium
from tinyllm import GPT, GPTConfig
from tinyllm.tokenizers import CharTokenizer
from tinyllm.training.trace import trace_step

TEXT = "to be or not to be"
RESULTS = ROOT / "benchmarks/results"
SIZE = {"width": 1360, "height": 850}


def main():
    from PIL import Image

    recording = record()
    step, cell = telling(recording)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = Path(folder, "step.html")
        recording.to_html(page)
        for scheme in ("light", "dark"):
            tab = browser.new_page(viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5)
            tab.goto(f"{page.as_uri()}#step={step}&cell={','.join(map(str, cell))}")
            tab.wait_for_selector(".equation")
            picture = Image.open(io.BytesIO(tab.screenshot()))
            path = RESULTS / f"stepper-{scheme}.webp"
            picture.save(path, quality=70, method=6)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")


def record():
    """What `tinyllm step` records."""
    tokenizer = CharTokenizer.train(TEXT)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=len(TEXT) - 1, n_layer=2, n_head=2, n_embd=16)
    return trace_step(GPT(config, seed=0), tokenizer, TEXT)


def telling(recording):
    """The step in which the embedding adds to the gradient of the weight it shares with the head, and the cell of the
    first token's row that it adds most to."""
    for i, step in enumerate(recording.steps):
        if step.phase == "backward" and step.nth == 2 and step.call.op.__name__ == "embedding":
            row = step.call.inputs[0].array[0, 0]
            return i, (row, np.abs(step.share[row]).argmax())
    raise LookupError("no embedding adds a second share in this recording")


if __name__ == "__main__":
    main()
