"""`tinyllm train`"""

import shlex
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..training.config import TrainConfig
from .generate import SAMPLE


def train(
    *,
    preset: str | None = None,
    config: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
):
    """Train a character GPT on a text, and let it write.

    Parameters
    ----------
    preset
        Named set of flags; flags given beside it win. There is: shakespeare-char-cpu.
    """
    import numpy as np  # now, and not for --help

    from ..data import python_manual, read_text
    from ..training.train import train

    if preset and config.data is None:
        raise ValueError(f"--preset {preset} needs a text: add --data PATH")
    out_dir = config.out_dir or Path("runs") / (preset or (config.data.stem if config.data else "python-manual"))
    if (out_dir / "model.safetensors").exists():
        raise ValueError(f"{out_dir} holds a trained model; name another folder with --out-dir, or remove that one")
    text = read_text(config.data) if config.data else python_manual()
    print(f"learning {config.data or 'the manual of this Python'} with a GPT of {config.n_layer} layers, "
          f"{config.n_head} heads, {config.n_embd} channels; the model goes to {out_dir}", flush=True)
    start = time.perf_counter()
    with np.errstate(all="ignore"):  # a training that overflows ends with one message of its own
        model, tokenizer = train(config, text, out_dir, report=_report(config))
    print(f"\ntrained in {time.perf_counter() - start:.0f} s; what it writes now:\n")
    prompt = tokenizer.encode(text[: config.block_size])
    print(tokenizer.decode(model.generate(prompt, 500, seed=config.seed, **SAMPLE)))
    print(f"\nmore: tinyllm generate {shlex.quote(str(out_dir))}")


def _report(config):
    """A line now and then, and one for every evaluation."""
    every = max(1, config.max_iters // 40)

    def report(progress):
        line = (f"step {progress.step:>6,} of {config.max_iters:,}   loss {progress.loss:.4f}   "
                f"learning rate {progress.learning_rate:.2e}   gradient norm {progress.grad_norm:.2f}   "
                f"{progress.tokens_per_second:,.0f} tokens/s")
        if progress.val_loss is not None:
            print(f"{line}   validation loss {progress.val_loss:.4f}", flush=True)
        elif progress.step % every == 0 or progress.step == 1:
            print(line, flush=True)

    return report
