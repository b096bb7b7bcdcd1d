"""`tinyllm attention`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .step import SIZES
from .switch import Switch


def attention(
    text: Annotated[str, Parameter(name="TEXT", allow_leading_hyphen=True)],
    /,
    *,
    run: Path | None = None,
    out: Path = Path("attention.png"),
    best: Switch = False,
):
    """Draw where each attention head of a model looks as it reads a text: one picture, with a map for each head.

    Needs matplotlib: pip install 'tinyllm-numpy[plot]'

    Parameters
    ----------
    text
        What the model reads, at most as many tokens as it can look back.
    run
        Folder of a run, as `tinyllm train` leaves it; by default a small new model, which has learned nothing yet.
    out
        File to write, a PNG.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    """
    from ..finetune.loading import load_model
    from ..models import GPT, GPTConfig
    from ..tokenizers import CharTokenizer
    from ..tracing.attention import attention_weights, draw_attention, short

    if best and not run:
        raise ValueError("--best is for the weights of a run; give it with --run")
    if not text:
        raise ValueError("TEXT is empty; give what the model is to read")
    if run:
        model, tokenizer = load_model(run, best)
    else:
        tokenizer = CharTokenizer.train(text)
        model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, block_size=len(text), **SIZES))
    ids = tokenizer.encode(text)
    if len(ids) > model.block_size:
        raise ValueError(f"TEXT has {len(ids)} tokens; the model sees {model.block_size} at once: give fewer")
    tokens = [short(tokenizer.decode([i])) for i in ids]
    title = f"{run or 'a new model'}: where each position (a row) looks"
    draw_attention(attention_weights(model, ids), tokens, out, title)
    print(f"the picture is {out}")
