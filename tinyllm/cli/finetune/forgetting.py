"""`tinyllm finetune forgetting`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...finetune.forgetting_config import ForgettingConfig
from ..switch import Switch


def forgetting(
    *,
    preset: str | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    out_dir: Path | None = None,
    dry_run: Switch = False,
    quiet: Switch = False,
    json: Switch = False,
    settings: Annotated[ForgettingConfig, Parameter(name="*")] = ForgettingConfig(),
):
    """Teach a model a second text in several ways, and show in one table how much of the first it forgets.

    Without --model, a small one first learns the old text.

    Parameters
    ----------
    preset
        Named set of flags: small, which is what it does without.
    config
        TOML file of flags, in the form of a preset or of a run's config.toml.
    resume
        Folder of a run to go on with, to the bit.
    out_dir
        Folder of the run, with a folder for each method; by default runs/forgetting.
    dry_run
        Print the configuration, parameters and memory, and train nothing.
    quiet
        Print nothing.
    json
        Print the objects of metrics.jsonl, one a line, and nothing else.
    """
    from ...backend import require
    from ...finetune.forgetting import NewTask, OldTask
    from ...finetune.loading import base_folder
    from ...training.run import CONFIG, refuse_if_taken
    from .running import carry_out, check_flags

    check_flags(resume, out_dir, dry_run, quiet, json)
    require(settings.backend)
    folder = resume or out_dir or Path("runs", "forgetting")
    old, new = corpora(settings)
    if dry_run:
        print_plan(settings, old)
        return
    base = Path(settings.model or base_folder(folder))
    if not resume:
        for taken in (folder, base_folder(folder), *(folder / method for method in settings.chosen)):
            refuse_if_taken(taken)
        folder.mkdir(parents=True, exist_ok=True)
        Path(folder, CONFIG).write_text(settings.to_toml(), encoding="utf-8")
    if not settings.model and not finished(base, settings.pretrain_iters):
        facts = f"first a model learns the old text, {len(old.train_ids):,} tokens · to {base}"
        carry_out(OldTask(settings, old), base, quiet=quiet, json=json, facts=facts)
    for method in settings.chosen:
        if not finished(folder / method, settings.max_iters):
            task = NewTask(settings, method, base, old, new)
            facts = f"{method}: {len(new.train_ids):,} tokens of the new text · to {folder / method}"
            carry_out(task, folder / method, quiet=quiet, json=json, facts=facts)
    if not (quiet or json):
        print(table(settings, folder, NewTask(settings, "nothing", base, old, new)))


def finished(folder, steps):
    from ...training.run import STATE, has_checkpoint
    from ...training.state import read_facts

    return has_checkpoint(folder) and read_facts(folder / STATE)["step"] >= steps


def corpora(settings):
    """The old text and the new one, in tokens of the model, or in the characters of both."""
    from ...data import python_manual, read_text
    from ...data.hub import local_model
    from ...finetune.builtin import library_code
    from ...tokenizers import CharTokenizer, load, named
    from ...training.corpus import Corpus

    old = read_text(settings.old_data) if settings.old_data else python_manual()
    new = read_text(settings.data) if settings.data else library_code()
    if settings.model:
        tokenizer = load(local_model(settings.model))
    else:
        tokenizer = named(settings.tokenizer, settings.vocab) or CharTokenizer.train(old + new)
    return [Corpus.of(text, settings.block_size, tokenizer) for text in (old, new)]


def table(settings, folder, before):
    """A line for each method: how much learned, and the losses on both texts; the first is the model as it was."""
    from ...finetune.freeze import count
    from ...training.progress import read_metrics
    from ..summary import rounded_table

    losses = [before.measure(before.model, corpus) for corpus in (before.old, before.new)]
    rows = {"before": [0, *losses, 0.0]}
    for method in settings.chosen:
        task = type(before)(settings, method, before.base, before.old, before.new)
        last = read_metrics(folder / method / "metrics.jsonl")[-1]
        forgotten = last["old_val_loss"] - losses[0]
        rows[method] = [count(task.model)[1], last["old_val_loss"], last["val_loss"], forgotten]
    names = ("learn", "old loss", "new loss", "forgotten")
    return f"\nnats a token on text that was not learned\n\n{rounded_table('method', names, rows)}"


def print_plan(settings, old):
    """What --dry-run shows."""
    from ...finetune.base import load_base
    from ...finetune.forgetting import OldTask, as_it_learns
    from ...finetune.freeze import Sizes, count
    from ...training.build import build_model
    from ..text import scaled
    from .running import print_sizes

    def fresh():
        if settings.model:
            return load_base(settings.model, settings)[0]
        return build_model(OldTask(settings, old).config, old.tokenizer.vocab_size)

    sizes = Sizes.of(fresh(), settings)
    learned = {method: count(as_it_learns(fresh(), method, settings))[1] for method in settings.chosen}
    print_sizes(settings, {
        "parameters": f"{sizes.parameters:,}",
        "of them learn": ", ".join(f"{n:,} ({method})" for method, n in learned.items()),
        "steps": f"{len(settings.chosen)} × {settings.max_iters:,} of {settings.tokens_per_step:,} tokens",
        "memory": f"about {scaled(sizes.memory, 'B')}",
    })  # fmt: skip
