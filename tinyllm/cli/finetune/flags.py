"""What every method is told about its run, beside the configuration of the method."""

from dataclasses import dataclass
from pathlib import Path

from ..switch import Switch


@dataclass(frozen=True)
class Flags:
    preset: str | None = None
    "Named set of flags: small or gpt2; of instruct small, gpt2-alpaca or gpt2-lora, of ppo also small-grpo, "
    "small-reinforce."
    config: Path | None = None
    "TOML file of flags, in the form of a preset or of a run's config.toml."
    resume: Path | None = None
    "Folder of a run to go on with, to the bit."
    out_dir: Path | None = None
    "Folder of the run; by default runs/ and the name of the method."
    dry_run: Switch = False
    "Print the configuration, parameters and memory, and train nothing."
    quiet: Switch = False
    "Print nothing."
    json: Switch = False
    "Print the objects of metrics.jsonl, one a line, and nothing else."


def parameters_of(task):
    """How many parameters the model of a Task has and, where that is not all of them, how many learn."""
    from ...finetune.freeze import count

    total, learned = count(task.model)
    return f"{total:,}" + (f" ({learned:,} learn)" if learned < total else "")


def carry_out_task(method, make, settings, flags, facts_of, copies=1, rows=1):
    """Do what the flags say with the Task that make() gives: None after --dry-run, else (task, state, folder).

    facts_of(task): {name: value} to tell before. copies: how many of what learns are in memory. rows: of text in
    an example.
    """
    from ...backend import require
    from ...training.run import refuse_if_taken
    from ..text import scaled
    from .running import carry_out, check_flags, print_sizes

    check_flags(flags.resume, flags.out_dir, flags.dry_run, flags.quiet, flags.json)
    require(settings.backend)
    folder = flags.resume or flags.out_dir or Path("runs", method)
    if not (flags.resume or flags.dry_run):
        refuse_if_taken(folder)
    task = make()
    facts = facts_of(task)
    if flags.dry_run:
        from ...finetune.freeze import Sizes

        memory = scaled(Sizes.of(task.model, settings, copies, rows).memory, "B")
        facts |= {"memory": f"about {memory} at the most, with rows of {task.model.block_size} tokens"}
        print_sizes(settings, facts)
        return None
    line = " · ".join(f"{value} {name}" for name, value in facts.items()) + f" · to {folder}"
    state, _ = carry_out(task, folder, quiet=flags.quiet, json=flags.json, facts=line)
    return task, state, folder
