"""`tinyllm finetune classify`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...finetune.classify_config import ClassifyConfig
from ..switch import Switch


def classify(
    *,
    preset: str | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    out_dir: Path | None = None,
    splits: int = 1,
    dry_run: Switch = False,
    quiet: Switch = False,
    json: Switch = False,
    settings: Annotated[ClassifyConfig, Parameter(name="*")] = ClassifyConfig(),
):
    """Teach a model to sort texts into classes, or to give them a number.

    Without --model, a small one first learns to write like the training texts. The table at the end has naive Bayes
    beside it, a count of words, on the same split.

    Parameters
    ----------
    preset
        Named set of flags: small, gpt2-spam or gpt2-spam-lora.
    config
        TOML file of flags, in the form of a preset or of a run's config.toml.
    resume
        Folder of a run to go on with, to the bit.
    out_dir
        Folder of the run; by default runs/ and the name of the data.
    splits
        How often to do it, each time on another split, with the seeds that follow --seed.
    dry_run
        Print the configuration, parameters and memory, and train nothing.
    quiet
        Print nothing.
    json
        Print the objects of metrics.jsonl, one a line, and nothing else.
    """
    from dataclasses import replace

    from ...backend import require
    from .running import check_flags

    check_flags(resume, out_dir, dry_run, quiet, json)
    if splits < 1 or splits > 1 and resume:
        raise ValueError("--splits must be 1 or more, and 1 with --resume")
    require(settings.backend)
    examples = read(settings)
    folder = resume or out_dir or Path("runs", f"{Path(settings.data or 'code-or-prose').stem}-classify")
    if dry_run:
        print_plan(settings, examples)
        return
    rows = []
    for seed in range(settings.seed, settings.seed + splits):
        part = folder / f"split-{seed}" if splits > 1 else folder
        rows.append(one_split(replace(settings, seed=seed), examples, part, bool(resume), quiet, json))
    if not (quiet or json):
        print_results(rows, settings, folder)


def read(settings):
    from ...finetune.builtin import code_or_prose
    from ...finetune.labelled import read_labelled

    return read_labelled(settings.data, settings.problem) if settings.data else code_or_prose()


def split_of(settings, examples):
    from ...finetune.labelled import Split

    return Split.of(examples, settings.problem, settings.balance, settings.seed)


def one_split(settings, examples, folder, resume, quiet, json):
    """Pre-train where no model is given, fine-tune: {name: number} of the test part, and naive Bayes'."""
    from ...finetune.classify import Classification
    from ...finetune.freeze import count
    from ...finetune.loading import base_folder
    from ...training.run import CONFIG, refuse_if_taken
    from .running import carry_out

    split = split_of(settings, examples)
    if not resume:
        refuse_if_taken(folder)
        folder.mkdir(parents=True, exist_ok=True)
        Path(folder, CONFIG).write_text(settings.to_toml(), encoding="utf-8")
    base = settings.model or base_folder(folder)
    if not settings.model:
        pretrain(settings, split, base, quiet, json)
    task = Classification(settings, split, base)
    total, learned = count(task.model)
    facts = (f"{len(split.train):,} texts to learn from, {len(split.val):,} to validate, {len(split.test):,} to test · "
             f"{total:,} parameters, {learned:,} of them learn · to {folder}")  # fmt: skip
    state, progress = carry_out(task, folder, quiet=quiet, json=json, facts=facts)
    return {"seed": settings.seed, "split": split, "task": task, "model": state.model}


def pretrain(settings, split, folder, quiet, json):
    """The small model of a run, unless it is there and finished."""
    from ...training.run import STATE, has_checkpoint
    from ...training.state import read_facts
    from .running import carry_out

    if has_checkpoint(folder) and read_facts(folder / STATE)["step"] == settings.pretrain_iters:
        return
    task = pretraining(settings, split)
    facts = f"first it learns to write like the {len(split.train):,} training texts · to {folder}"
    carry_out(task, folder, quiet=quiet, json=json, facts=facts)


def pretraining(settings, split):
    from ...finetune.base import TextPretraining, pretraining_config

    train, val = ([e.text for e in part] for part in (split.train, split.val))
    config = pretraining_config(settings)
    return TextPretraining(config, train, val, settings.vocab_size, split.sha256, "finetune classify")


def print_plan(settings, examples):
    """What --dry-run shows."""
    from ...finetune.base import load_base
    from ...finetune.classify import build_classifier
    from ...finetune.freeze import Sizes
    from ..text import scaled
    from .running import print_sizes

    split = split_of(settings, examples)
    if settings.model:
        gpt = load_base(settings.model, settings)[0]
    else:
        gpt = pretraining(settings, split).initial_state().model
    model = build_classifier(gpt, len(split.classes) or 1, settings)
    sizes = Sizes.of(model, settings)
    print_sizes(settings, {
        "texts": f"{len(split.train):,} to learn from, {len(split.val):,} to validate, {len(split.test):,} to test",
        "classes": ", ".join(split.classes) or "a number",
        "parameters": f"{sizes.parameters:,}, {sizes.learned:,} of them learn",
        "memory": f"about {scaled(sizes.memory, 'B')} at the most, with texts of {model.block_size} tokens",
    })  # fmt: skip


def print_results(rows, settings, folder):
    """A line for each split, naive Bayes beside it, and the details of the last one."""
    from .results import print_confusion, results_table

    print(results_table(rows, settings.problem))
    print_confusion(rows[-1], settings.problem)
    last = folder if len(rows) == 1 else folder / f"split-{rows[-1]['seed']}"
    print(f"\nnext: tinyllm classify {last} 'a text of your own'")
