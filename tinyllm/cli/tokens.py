"""`tinyllm data prepare`, `stats` and `train-tokenizer`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch

Sources = Annotated[tuple[Path, ...], Parameter(name="TEXT", negative_iterable="")]


def prepare(
    sources: Sources,
    /,
    *,
    out_dir: Path,
    tokenizer: str = "char",
    vocab: str | None = None,
    field: str = "text",
    val_fraction: float = 0.1,
    quiet: Switch = False,
):
    """Turn texts into a folder of ids, for `tinyllm train --data`, which reads them where they lie, however many.

    A file is a document; of a .jsonl file, each line. A vocabulary with <|endoftext|> gets one after each.

    Parameters
    ----------
    sources
        Text files, also .jsonl, also either with .gz, or folders of them.
    out_dir
        Folder to make.
    tokenizer
        char, gpt2, r50k_base, cl100k_base, o200k_base, or the folder of a saved one.
    vocab
        File of the vocabulary that --tokenizer names: a vocab.bpe or a .tiktoken; without it tiktoken downloads it.
    field
        Where a line of .jsonl has its text.
    val_fraction
        Part of the tokens that is for validation: the last documents.
    quiet
        Print nothing.
    """
    from ..data.documents import files_of
    from ..data.prepare import prepare
    from ..tokenizers import named

    chosen = named(tokenizer, vocab)
    size = sum(path.stat().st_size for path in files_of(sources)) * (1 if chosen else 2)
    with _bar(quiet, size) as advance:
        file = prepare(sources, out_dir, chosen, field, val_fraction, advance)
    if not quiet:
        print_prepared(file)
        print(f"\nnext: tinyllm train --data {out_dir}")


def train_tokenizer(
    sources: Sources,
    /,
    *,
    out_dir: Path,
    vocab_size: int = 4096,
    pattern: str = "gpt4",
    special: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = ("<|endoftext|>",),
    field: str = "text",
    quiet: Switch = False,
):
    """Learn a vocabulary of byte pairs from texts, for --tokenizer.

    Parameters
    ----------
    sources
        Text files, also .jsonl, also either with .gz, or folders of them.
    out_dir
        Folder to put tokenizer.json in, which Hugging Face's tokenizers reads, too.
    vocab_size
        Tokens in all: 256 bytes, merges, special ones.
    pattern
        How texts are cut before: as gpt2, gpt4 or o200k does it, or none.
    special
        Special tokens, which get the last ids.
    field
        Where a line of .jsonl has its text.
    quiet
        Print nothing.
    """
    from ..data.documents import documents, encodable, files_of
    from ..tokenizers import BPETokenizer

    if (out_dir / "config.json").exists() or (out_dir / "tokens.json").exists():
        raise FileExistsError(f"{out_dir} holds a model or a corpus, which has its tokenizer; name another --out-dir")
    pattern = None if pattern == "none" else pattern
    files = files_of(sources)

    def texts():
        for path in files:
            for parts in documents(path, field):
                yield from encodable(parts) if pattern else ["".join(parts)]

    with _bar(quiet, vocab_size - 256 - len(special), "merges") as advance:
        tokenizer = BPETokenizer.train(texts(), vocab_size, pattern, special, lambda n: advance(1))
    tokenizer.save(out_dir)
    if not quiet:
        if tokenizer.vocab_size < vocab_size:
            print(f"the texts have no more pairs: {tokenizer.vocab_size:,} tokens, not {vocab_size:,}")
        print(f"{out_dir / 'tokenizer.json'}: {tokenizer!r}\n\nnext: tinyllm train --tokenizer {out_dir} --data …")


def stats(
    sources: Sources,
    /,
    *,
    tokenizer: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = (),
    field: str = "text",
):
    """Show what tokenizers make of texts: vocabulary size against length, compression, longest and rarest tokens.

    Of a folder that `tinyllm data prepare` made it shows what is in it, and checks that nothing has changed.

    Parameters
    ----------
    sources
        Text files, also .jsonl, also either with .gz, folders of them, or a prepared folder.
    tokenizer
        Names or folders, as for `tinyllm train`; by default char, and gpt2 and cl100k_base where they can be had.
    field
        Where a line of .jsonl has its text.
    """
    from ..data.tokenfile import TokenFile, is_prepared

    if len(sources) == 1 and is_prepared(sources[0]):
        if tokenizer:
            raise ValueError(f"{sources[0]} was prepared with its tokenizer; leave --tokenizer out")
        file = TokenFile(sources[0])
        file.check_content()
        print_prepared(file)
        return
    from ..data.documents import documents, files_of
    from ..data.statistics import statistics
    from ..tokenizers import CharTokenizer, named

    text = "".join(part for path in files_of(sources) for parts in documents(path, field) for part in parts)
    print(f"{len(text):,} characters, {len(text.encode()):,} bytes\n")
    print("tokenizer         vocabulary     used        tokens  characters a token  bytes a token")
    found = {}
    for name in tokenizer or ("char", "gpt2", "cl100k_base"):
        try:
            chosen = named(name) or CharTokenizer.train(text)
        except OSError as error:
            if tokenizer:
                raise
            print(f"{name:<16}{error}")
            continue
        found[name] = s = statistics(text, chosen)
        print(f"{name[-15:]:<16}{s.vocab_size:>12,}{s.used:>9,}{s.tokens:>14,}{s.characters_per_token:>20.2f}"
              f"{s.bytes_per_token:>15.2f}")  # fmt: skip
    for name, s in found.items():
        if name != "char":
            print(f"\n{name}: longest {_shown(s.longest)}\n{' ' * len(name)}  rarest  {_shown(s.rarest)}")


def print_prepared(file):
    from .summary import print_table

    facts = file.facts
    (_, middle), (_, end) = facts["splits"]["train"], facts["splits"]["val"]
    print_table({
        "folder": str(file.folder),
        "tokens": f"{facts['count']:,} of {facts['documents']:,} documents, {facts['dtype']}",
        "training": f"{middle:,}",
        "validation": f"{end - middle:,}",
        "vocabulary": f"{facts['vocab_size']:,} tokens, sha256 {facts['vocabulary_sha256'][:12]}…",
        "sha256": facts["sha256"],
    })  # fmt: skip


def _shown(tokens):
    from .text import visible

    return "  ".join(visible(repr(token.decode("utf-8", errors="replace"))) for token in tokens)


def _bar(quiet, total, unit=None):
    """`with _bar(...) as advance:` advance(n) moves a progress bar on standard error."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    @contextmanager
    def bar():
        counted = MofNCompleteColumn() if unit else DownloadColumn()
        columns = unit or "reading", BarColumn(), counted, TimeRemainingColumn()
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
            task = progress.add_task("", total=total)
            yield lambda n: progress.advance(task, n)

    return bar()
