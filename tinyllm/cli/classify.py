"""`tinyllm classify`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def classify(
    run: Annotated[Path, Parameter(name="RUN")],
    texts: Annotated[tuple[str, ...], Parameter(name="TEXT", allow_leading_hyphen=True, negative_iterable="")],
    /,
    *,
    best: Switch = False,
    json: Switch = False,
):
    """Say which class each text belongs to, or which number, with a model that `tinyllm finetune classify` made.

    Parameters
    ----------
    run
        Folder of that run.
    texts
        One text or several.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    json
        Print one JSON object a text, and nothing else.
    """
    import json as json_

    from ..finetune.base import encode
    from ..finetune.predict import load_classifier, predict, say

    if not texts or not all(text.strip() for text in texts):
        raise ValueError("TEXT is empty; give what is to be judged")
    model, tokenizer = load_classifier(run, best)
    rows = encode(tokenizer, texts, [repr(text[:40]) for text in texts])
    for text, logits in zip(texts, predict(model, rows)):
        said = say(model, logits)
        if json:
            print(json_.dumps({"text": text, **said}, ensure_ascii=False))
        elif "number" in said:
            print(f"{said['number']:.6g}")
        else:
            print("   ".join(f"{name} {p:.1%}" for name, p in said["classes"].items()))
