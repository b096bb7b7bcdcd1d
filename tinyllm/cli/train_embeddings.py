"""`tinyllm train-embeddings`"""

from pathlib import Path
from statistics import fmean
from typing import Annotated

from cyclopts import Parameter

from ..training.word2vec_config import Word2VecConfig
from .switch import Switch
from .train import _default


def train_embeddings(
    *,
    out_dir: Path | None = None,
    quiet: Switch = False,
    settings: Annotated[
        Word2VecConfig,
        Parameter(name="*", consume_multiple=1, negative_iterable="", show_default=_default),
    ] = Word2VecConfig(),
):
    """Learn a vector for each word of a text (word2vec: skip-grams with negative sampling).

    `tinyllm info` shows which words are near which, analogies, and a picture.

    Parameters
    ----------
    out_dir
        Folder of the vectors; by default runs/ and the name of the text, with -words.
    quiet
        Print nothing.
    """
    from ..training.word2vec import refuse_if_taken, save_word2vec, train_word2vec
    from .corpus import load_text
    from .embeddings import print_embeddings, print_next
    from .summary import print_table

    name = Path(settings.data[0]).resolve().stem if settings.data else "python-manual"
    folder = out_dir or Path("runs") / f"{name}-words"
    refuse_if_taken(folder)
    text, losses = load_text(settings.data, quiet), []
    with Bar(quiet, losses) as bar:
        model, words, counts = train_word2vec(settings, text, bar)
    if not losses:
        raise ValueError(f"subsampling left no pair of the {counts.sum():,} words; give a longer text, or a larger "
                         f"--subsample than {settings.subsample}")
    save_word2vec(folder, settings, model, words, counts)
    if quiet:
        return
    print_table({
        "words": f"{len(words):,} that occur {settings.min_count} times or more, {counts.sum():,} of them in the text",
        "vectors": f"{settings.n_embd} numbers each",
        "loss": f"{fmean(losses[-100:]):.4f} nats a word and its neighbour, over the last batches",
        "folder": str(folder),
    })  # fmt: skip
    print()
    print_embeddings(folder)
    print_next(folder, words)


class Bar:
    """A rich progress bar on standard error, with the loss; it takes down the loss of each step in `losses`."""

    def __init__(self, quiet, losses):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

        columns = "learning", BarColumn(), "{task.fields[loss]}", TimeElapsedColumn(), TimeRemainingColumn()
        self.bar, self.losses = Progress(*columns, console=Console(stderr=True), disable=quiet), losses
        self.task = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.task is not None:
            self.bar.stop()

    def __call__(self, step, steps, loss):
        if self.task is None:  # now: a mistake in the text has been told by then
            self.bar.start()
            self.task = self.bar.add_task("", total=steps, loss="")
        if loss is not None:
            self.losses.append(loss)
        said = f"loss {fmean(self.losses[-100:]):.4f}" if self.losses else ""
        self.bar.update(self.task, completed=step, loss=said)
