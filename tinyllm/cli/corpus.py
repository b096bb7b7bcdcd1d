"""The text that --data names, with a progress bar where it is downloaded."""

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from ..data import python_manual, read_texts


def load_text(sources, quiet=False):
    """The texts of --data as one; without any, the manual of this Python."""
    return read_texts(sources, None if quiet else Bar()) if sources else python_manual()


def load_corpus(config, quiet=False, run=None):
    """The Corpus of a TrainConfig; run: the folder of the run that goes on with it, and carries its tokenizer."""
    from ..data.tokenfile import is_prepared
    from ..tokenizers import load, named
    from ..training.corpus import Corpus, text_sha256
    from ..training.run import check_text

    prepared = [source for source in config.data if is_prepared(source)]
    if not prepared:
        text = load_text(config.data, quiet)
        if run:
            check_text(run, text_sha256(text))
        return Corpus.of(text, config.block_size, load(run) if run else named(config.tokenizer, config.vocab))
    if len(config.data) > 1:
        raise ValueError(f"{prepared[0]} is a prepared corpus; it is the only --data then: prepare all texts together")
    if config.tokenizer or config.vocab:
        raise ValueError(f"{prepared[0]} was prepared with its tokenizer; leave --tokenizer and --vocab out")
    corpus = Corpus.prepared(prepared[0], config.block_size)
    if run:
        check_text(run, corpus.text_sha256)
    return corpus


def ids_of(sources, tokenizer, quiet=False):
    """The ids that --data names, all of them: of texts, or of a corpus that was prepared with this tokenizer."""
    from ..data.tokenfile import TokenFile, is_prepared

    if len(sources) == 1 and is_prepared(sources[0]):
        file = TokenFile(sources[0])
        if file.tokenizer.to_json() != tokenizer.to_json():
            raise ValueError(f"{sources[0]} was prepared with another tokenizer ({file.tokenizer.vocab_size:,} tokens) "
                             f"than the model's ({tokenizer.vocab_size:,}); its ids mean something else here")
        return file.ids
    return tokenizer.encode(load_text(sources, quiet))


class Bar:
    """A rich progress bar on standard error, in the form that pooch drives."""

    def __init__(self):
        self.bar = None

    @property
    def total(self):
        return self.bar.tasks[0].total

    @total.setter
    def total(self, size):
        columns = TextColumn("downloading"), BarColumn(), DownloadColumn()
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.bar.add_task("", total=size)
        self.bar.start()

    def update(self, size):
        self.bar.advance(self.bar.tasks[0].id, size)

    def reset(self):
        self.bar.reset(self.bar.tasks[0].id)

    def close(self):
        if self.bar:  # it is closed where nothing was to be fetched, too
            self.bar.stop()
