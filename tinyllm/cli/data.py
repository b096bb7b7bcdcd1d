"""`tinyllm data`"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from .switch import Switch
from .tokens import prepare, stats, train_tokenizer

data = App(name="data", help="Get texts and models, turn texts into tokens, learn a vocabulary.")
for command in (prepare, stats, train_tokenizer):
    data.command(command)


@data.command
def download(name: Annotated[str, Parameter(name="NAME")], /, *, out_dir: Path | None = None, quiet: Switch = False):
    """Get a model or a text, once: what is there already is used without a look at the network.

    A model goes where transformers looks for it, too (HF_HOME moves it, HF_ENDPOINT names another hub), and can then
    be called by its name: `tinyllm generate gpt2`. A download that was cut goes on where it stopped.

    Parameters
    ----------
    name
        gpt2, gpt2-medium, gpt2-large or gpt2-xl: 0.5, 1.5, 3.2 or 6.4 GB; or shakespeare, a text of 1.1 MB.
    out_dir
        Folder to put a model in.
    quiet
        Print the path alone.
    """
    from ..data.corpora import DOWNLOADS
    from ..data.corpora import download as download_text
    from ..data.hub import MODELS, download_model
    from .corpus import Bar

    if name in MODELS:
        with FileBars(quiet) as bars:
            path = download_model(name, out_dir, bars)
    elif name not in DOWNLOADS:
        raise ValueError(f"there is no {name!r} to download; choose one of {', '.join([*MODELS, *DOWNLOADS])}")
    elif out_dir:
        raise ValueError(f"--out-dir is for models; {name} is kept in a cache, and read by --data {name}")
    else:
        path = download_text(name, None if quiet else Bar())
    print(path)


class FileBars:
    """A rich progress bar on standard error for each file that is fetched."""

    def __init__(self, quiet):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        self.bars, self.tasks = Progress(*columns, console=Console(stderr=True), disable=quiet), {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.tasks:
            self.bars.stop()

    def __call__(self, file, here, size):
        if file not in self.tasks:
            self.bars.start()
            self.tasks[file] = self.bars.add_task(file, total=size)
        self.bars.update(self.tasks[file], completed=here)
