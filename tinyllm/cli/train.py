"""`tinyllm train`"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..training.config import TrainConfig
from .switch import Switch


def _default(value):
    """A default as --help shows it; no data, or what follows from other flags, is no value worth showing."""
    return None if value in ((), None) else str(value)


def train(
    *,
    preset: str | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    out_dir: Path | None = None,
    dry_run: Switch = False,
    quiet: Switch = False,
    json: Switch = False,
    debug: Literal["nan"] | None = None,
    settings: Annotated[
        TrainConfig,
        Parameter(name="*", consume_multiple=1, negative_iterable="", show_default=_default),
    ] = TrainConfig(),
):
    """Train a GPT on a text, and let it write.

    Flags win over --preset, --config and --resume, which are TOML files of them. The folder of a run keeps one
    (config.toml), the model, and a checkpoint to go on from.

    Parameters
    ----------
    preset
        Named set of flags: shakespeare-char-cpu or shakespeare-char.
    config
        TOML file of flags, in the form of a preset or of a run's config.toml.
    resume
        Folder of a run to go on with, to the bit.
    out_dir
        Folder of the run; by default runs/ and the name of the preset, the file or the text.
    dry_run
        Print the configuration, parameters, FLOPs, memory and expected time, and train nothing.
    quiet
        Print nothing.
    json
        Print the objects of metrics.jsonl, one a line, and nothing else.
    debug
        With nan, stop at the first op, gradient or update that makes a NaN or an infinity, name it, and open the page
        that steps through it. Several times slower.
    """
    from contextlib import nullcontext

    import numpy as np  # now, and not for --help

    from ..backend import require
    from ..training.plan import Plan, expected_seconds
    from ..training.run import STATE, quoted, refuse_if_taken
    from ..training.state import read_facts
    from ..training.train import train
    from .corpus import load_corpus
    from .display import display_for
    from .page import stopping_at_nan
    from .stop import Stop
    from .summary import print_facts, print_plan, print_summary

    if resume and out_dir:
        raise ValueError(f"--resume {resume} goes on in its own folder; leave --out-dir out")
    if sum((dry_run, quiet, json)) > 1:
        raise ValueError("--dry-run, --quiet and --json each say what to print; give one of them")
    require(settings.backend)
    folder = resume or out_dir or Path("runs") / _name(preset, config, settings)
    first_step = read_facts(resume / STATE)["step"] if resume else 0
    if first_step >= settings.max_iters:
        raise ValueError(f"{folder} is finished: {first_step:,} of {settings.max_iters:,} steps. To train it further "
                         f"give more --max-iters; to let it write: tinyllm generate {quoted(folder)}")
    if not (resume or dry_run):
        refuse_if_taken(folder)
    corpus = load_corpus(settings, quiet or json, resume)
    plan = Plan.of(settings, corpus.tokenizer.vocab_size)
    plan.check_memory(settings.backend)
    watching = stopping_at_nan() if debug else nullcontext()
    with watching, np.errstate(all="ignore"):  # a training that overflows ends with one message of its own
        seconds = expected_seconds(settings, corpus, settings.max_iters - first_step)
        if dry_run:
            print_plan(plan, settings, seconds)
            return
        display = display_for(settings, first_step, quiet=quiet, json=json)

        def begun():
            if display.talks:
                print_facts(plan, settings, seconds, folder, first_step)
            display.begin()

        with display, Stop(display) as stop:
            state = train(settings, corpus, folder, stop.report, stop.asked, bool(resume), begun)
    if display.talks and state.step == settings.max_iters:
        print_summary(state, settings, stop.progress, folder)
    stop.leave(state, folder, settings.max_iters)


def _name(preset, config, settings):
    """What a run is called where --out-dir does not say: its preset, its file of flags, or its text."""
    if preset or config:
        return preset or config.stem
    return Path(settings.data[0]).resolve().stem if settings.data else "python-manual"
