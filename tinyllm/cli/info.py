"""`tinyllm info`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def info(run: Annotated[Path, Parameter(name="RUN")], /):
    """Show what a trained model is made of: its tree with shapes and counts, its memory, how far it was trained.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it.
    """
    from ..models.sizes import flops_per_token, parameter_count, training_memory
    from ..training.run import STATE, has_checkpoint, load_run, read_config
    from ..training.state import read_facts
    from .summary import print_table
    from .text import scaled

    model, tokenizer = load_run(run)
    config = read_config(run)
    itemsize = next(model.parameters()).data.itemsize
    print(f"{model}\n")
    rows = {
        "parameters": f"{parameter_count(model.config):,}",
        "weights": scaled(parameter_count(model.config) * itemsize, "B"),
        "training": f"about {scaled(training_memory(model.config, config.batch_size, itemsize), 'B')} with batches of "
                    f"{config.batch_size} x {config.block_size}",
        "arithmetic": f"{scaled(flops_per_token(model.config), 'FLOP')} a token in training, a third of it to generate",
        "tokenizer": f"{tokenizer.vocab_size:,} characters",
        "text": ", ".join(config.data) or "the manual of this Python",
    }  # fmt: skip
    if has_checkpoint(run):
        facts = read_facts(run / STATE)
        rows["trained"] = f"{facts['step']:,} of {config.max_iters:,} steps"
        if facts["best_val_loss"] is not None:
            rows["validation loss"] = f"{facts['best_val_loss']:.4f} at best, after step {facts['best_step']:,}"
    print_table(rows)
