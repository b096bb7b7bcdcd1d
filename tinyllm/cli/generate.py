"""`tinyllm generate`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..training.config import SAMPLING
from .switch import Switch


def generate(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    prompt: str | None = None,
    max_new_tokens: int = 500,
    temperature: float = SAMPLING["temperature"],
    top_k: int = SAMPLING["top_k"],
    top_p: float = SAMPLING["top_p"],
    seed: int = 0,
    best: Switch = False,
):
    """Let a trained model continue a text.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it.
    prompt
        Text to continue; by default an empty line, or the first character the model knows.
    max_new_tokens
        How many tokens to add.
    temperature
        Below 1 likely tokens gain, above 1 unlikely ones; 0 always takes the likeliest.
    top_k
        Draw from the k likeliest tokens only; as many as the vocabulary has is no limit.
    top_p
        Draw from the fewest tokens that have this probability together; 1 is no limit.
    seed
        The same seed gives the same text.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    """
    import sys

    from ..training.run import load_run
    from .text import visible

    model, tokenizer = load_run(run, best)
    if prompt is None:
        prompt = "\n" if "\n" in tokenizer.characters else tokenizer.characters[0]
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    ids = model.generate(tokenizer.encode(prompt), max_new_tokens, **options)
    written = tokenizer.decode(ids)
    print(visible(written) if sys.stdout.isatty() else written)
