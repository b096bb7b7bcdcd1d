"""What the commands of `tinyllm finetune` share: a task is carried out, watched, and can be stopped."""

from pathlib import Path


def check_flags(resume, out_dir, dry_run, quiet, json):
    """Raise where flags contradict each other."""
    if resume and out_dir:
        raise ValueError(f"--resume {resume} goes on in its own folder; leave --out-dir out")
    if sum((dry_run, quiet, json)) > 1:
        raise ValueError("--dry-run, --quiet and --json each say what to print; give one of them")


def carry_out(task, folder, *, quiet=False, json=False, facts=""):
    """Do a Task in a folder, or go on with it where the folder has a checkpoint, and give its TrainState and its last
    Progress, None where nothing was left to do; facts: a line to print before. Leaves the program where it is stopped.
    """
    import numpy as np

    from ...training.loop import run_task
    from ...training.run import STATE, has_checkpoint
    from ...training.state import read_facts
    from ..display import display_for
    from ..stop import Stop

    first_step = read_facts(Path(folder, STATE))["step"] if has_checkpoint(folder) else 0
    if first_step >= task.config.max_iters:
        raise ValueError(f"{folder} is finished: {first_step:,} of {task.config.max_iters:,} steps. To train it "
                         "further give more --max-iters")
    display = display_for(task.config, first_step, quiet=quiet, json=json)

    def begun():
        if display.talks and facts:
            print(facts + (f" · going on from step {first_step:,}" if first_step else ""), flush=True)
        display.begin()

    with np.errstate(all="ignore"), display, Stop(display) as stop:
        state = run_task(task, folder, stop.report, stop.asked, first_step > 0, begun)
    stop.leave(state, folder, task.config.max_iters)
    return state, stop.progress


def print_sizes(config, facts):
    """What --dry-run shows: a file for --config, with what it costs as comments."""
    from ..summary import print_table

    print(config.to_toml())
    print_table({f"# {name}": value for name, value in facts.items()})
