"""`tinyllm eval`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def eval_(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    data: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = (),
    best: Switch = False,
    json: Switch = False,
):
    """Measure a trained model on a text: loss, perplexity, bits a token.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it.
    data
        Text to measure on, all of it, as for `tinyllm train`; by default the validation part of the text of the run.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    json
        Print one JSON object and nothing else.
    """
    import json as json_
    import math

    from ..training.evaluate import evaluate
    from ..training.run import load_run, read_config
    from .corpus import ids_of, load_corpus
    from .summary import print_table

    model, tokenizer = load_run(run, best)
    config = read_config(run)
    if data:
        what, ids = f"{', '.join(data)}, all of it", ids_of(data, tokenizer, quiet=json)
    else:
        ids = load_corpus(config, json, run).val_ids
        what = f"{', '.join(config.data) or 'the manual of this Python'}, its validation part"
    loss = evaluate(model, ids, config.batch_size)
    result = {"loss": loss, "perplexity": math.exp(loss), "bits_per_token": loss / math.log(2), "tokens": len(ids)}
    if json:
        print(json_.dumps(result))
        return
    print_table({
        "text": what,
        "tokens": f"{len(ids):,}",
        "loss": f"{loss:.4f} nats a token",
        "perplexity": f"{result['perplexity']:.3f}",
        "bits": f"{result['bits_per_token']:.3f} a token",
    })  # fmt: skip
