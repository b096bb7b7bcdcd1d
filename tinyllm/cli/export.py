"""`tinyllm export`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def export(
    run: Annotated[Path, Parameter(name="RUN")],
    out: Annotated[Path, Parameter(name="OUT")],
    /,
    *,
    best: Switch = False,
):
    """Write a model for other programs.

    OUT.npz and OUT.safetensors hold its weights alone, in float32 or float64, under Hugging Face's names; any other OUT
    is a folder, with the configuration and the tokenizer, which `transformers` reads.

    Parameters
    ----------
    run
        Folder of a run, or of Hugging Face's GPT-2, or the name of a model that was downloaded.
    out
        What to write; it must not be there yet.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    """
    from ..finetune.loading import load_model, require_gpt
    from ..models.pretrained import save_arrays, save_npz

    if out.exists():
        raise FileExistsError(f"{out} is there already; name another place")
    model, tokenizer = load_model(run, best, without_tokenizer=True)
    require_gpt(run)
    if out.suffix == ".npz":
        save_npz(out, model.state_dict())
    elif out.suffix == ".safetensors":
        save_arrays(out, model.state_dict(), {"format": "pt"})
    elif out.suffix:
        raise ValueError(f"{out}: weights are written as .npz or .safetensors; for a folder, give a name without a dot")
    else:
        model.save_pretrained(out)
        if tokenizer:
            tokenizer.save(out)
    print(out)
