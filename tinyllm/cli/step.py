"""`tinyllm step`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch

SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16}  # of a model that is made for the step: small enough to look at


def step(
    text: Annotated[str, Parameter(name="TEXT", allow_leading_hyphen=True)],
    /,
    *,
    run: Path | None = None,
    n_layer: int | None = None,
    n_head: int | None = None,
    n_embd: int | None = None,
    seed: int = 0,
    html: Path | None = None,
    tui: Switch = False,
    plain: Switch = False,
    json: Switch = False,
):
    """Walk through one training step of a GPT on a text: forward, backward, update, number by number.

    Opens a page in the browser, one file that needs no network.

    Parameters
    ----------
    text
        What the step learns from: at each character, the next one.
    run
        Folder of a run whose model makes the step; by default a small new one does.
    n_layer
        Transformer blocks of the new model; by default 2.
    n_head
        Attention heads in each block; by default 2.
    n_embd
        Channels; by default 16.
    seed
        Start of all randomness: weights and dropout.
    html
        File to write the page to, without opening it.
    tui
        Walk through it in the terminal, with the keys of the page.
    plain
        Print the walk in the terminal.
    json
        Print the recording as JSON, and nothing else.
    """
    from ..models import GPT, GPTConfig
    from ..tokenizers import CharTokenizer
    from ..training.config import TrainConfig
    from ..training.run import CONFIG, load_run, read_config
    from ..training.trace import trace_step
    from .page import run_tui, write_page

    if sum((tui, plain, json, html is not None)) > 1:
        raise ValueError("--tui, --plain, --json and --html each say how to see the step; give one of them")
    sizes = {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd}
    given = {name: size for name, size in sizes.items() if size is not None}
    if run and given:
        raise ValueError(f"--run {run} brings a model with its own sizes; leave the flags for sizes out")
    if len(text) < 2:
        raise ValueError(f"a step needs at least 2 characters, one to read and one to foretell; got {text!r}")
    if run:
        model, tokenizer = load_run(run)
        model.train()
        settings = read_config(run) if Path(run, CONFIG).is_file() else TrainConfig()  # Hugging Face's have none
    else:
        tokenizer = CharTokenizer.train(text)
        config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=len(text) - 1, **SIZES | given)
        model, settings = GPT(config, seed=seed), TrainConfig()
    recording = trace_step(model, tokenizer, text, seed, settings)
    if json:
        print(recording.to_json())
    elif plain:
        recording.show()
    elif tui:
        run_tui(recording)
    else:
        print(f"the page is {write_page(recording, html, opens=html is None)}")
