"""`tinyllm info`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch

Texts = Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="", show_default=False)]


def info(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    embeddings: Switch = False,
    near: Texts = (),
    analogy: Texts = (),
    similarity: str = "cosine",
    top: int = 8,
    plot: Path | None = None,
):
    """Show what a trained model is made of: its tree with shapes and counts, its memory, how far it was trained.

    Or the vectors of its tokens: those of a GPT, or of the words that `tinyllm train-embeddings` learned.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it, or of vectors.
    embeddings
        Show which tokens are near each other, and not the model.
    near
        Token whose neighbours to show.
    analogy
        Sum of tokens, as 'king - man + woman', whose neighbours to show.
    similarity
        What near means: cosine, the angle alone; or dot, the product, which is larger for longer vectors.
    top
        How many neighbours.
    plot
        PNG to draw the vectors into, in the plane in which they differ most (PCA).
    """
    if embeddings or near or analogy or plot:
        from .embeddings import print_embeddings

        print_embeddings(run, near, analogy, similarity, top, plot)
    elif Path(run, "word2vec.json").is_file():
        print_words(run)
    else:
        print_model(run)


def print_words(run):
    from ..training.word2vec import load_word2vec
    from .embeddings import print_next
    from .summary import print_table

    vectors, counts, config = load_word2vec(run)
    print_table({
        "words": f"{len(counts):,}, from {vectors.tokens[0]} ({counts[0]:,} times) to {vectors.tokens[-1]} "
                 f"({counts[-1]:,} times)",
        "vectors": f"{vectors.vectors.shape[1]} numbers each",
        "text": f"{', '.join(config['data']) or 'the manual of this Python'}, {config['epochs']} times",
    })  # fmt: skip
    print_next(run, vectors.tokens)


def print_model(run):
    from ..finetune.loading import load_model
    from ..models.sizes import flops_per_token
    from ..training.plan import memory_of_a_step
    from ..training.run import CONFIG, STATE, has_checkpoint, read_config
    from ..training.state import read_facts
    from .summary import print_table
    from .text import scaled

    model, tokenizer = load_model(run, without_tokenizer=True)
    facts = read_facts(run / STATE) if has_checkpoint(run) else None
    tuned = facts is not None and facts["command"] != "train"  # with a config.toml of its own
    config = read_config(run) if Path(run, CONFIG).is_file() and not tuned else None
    itemsize, count = next(model.parameters()).data.itemsize, sum(p.data.size for p in model.parameters())
    print(f"{model}\n")
    rows = {
        "parameters": f"{count:,}",
        "weights": scaled(count * itemsize, "B"),
        "arithmetic": f"{scaled(flops_per_token(model.config), 'FLOP')} a token in training, a third of it to generate",
        "tokenizer": f"{tokenizer.vocab_size:,} {_tokens(tokenizer)}" if tokenizer else "none in this folder",
    }  # fmt: skip
    if config:
        memory = scaled(memory_of_a_step(model.config, config), "B")
        rows["training"] = f"about {memory} with batches of {config.batch_size} x {config.block_size}"
        rows["text"] = ", ".join(config.data) or "the manual of this Python"
    if facts:
        rows["trained"] = f"{facts['step']:,} " + (
            f"of {config.max_iters:,} steps" if config else f"steps of tinyllm {facts['command']}")  # fmt: skip
        if facts["best_val_loss"] is not None:
            rows["validation loss"] = f"{facts['best_val_loss']:.4f} at best, after step {facts['best_step']:,}"
    print_table(rows)


def _tokens(tokenizer):
    return "characters" if hasattr(tokenizer, "characters") else "tokens of bytes (BPE)"
