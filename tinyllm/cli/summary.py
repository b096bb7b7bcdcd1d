"""What `tinyllm train` says before and after."""

import math
import shlex

from ..training.environment import memory_bytes
from ..training.run import quoted
from .text import duration, scaled, visible


def print_facts(plan, config, seconds, folder, first_step):
    """One line on what is about to happen."""
    facts = [
        f"{plan.parameters:,} parameters",
        f"{plan.tokens:,} tokens",
        f"{config.backend} {config.dtype if config.precision == 'fp32' else config.precision}",
        f"{scaled(plan.flops_per_token, 'FLOP')} a token",
        f"about {duration(seconds)}",
        f"to {folder}",
    ]
    if first_step:
        facts.append(f"going on from step {first_step:,}")
    print(" · ".join(facts), flush=True)


def print_plan(plan, config, seconds):
    """What --dry-run shows: a file for --config, with what it costs as comments."""
    print(config.to_toml())
    there = memory_bytes(config.backend)
    print_table({
        "# parameters": f"{plan.parameters:,}",
        "# tokens": f"{plan.tokens:,} in {config.max_iters:,} steps of {config.tokens_per_step:,}",
        "# arithmetic": f"{scaled(plan.flops_per_token, 'FLOP')} a token, "
                      f"{scaled(plan.flops_per_token * config.tokens_per_step, 'FLOP')} a step, "
                      f"{scaled(plan.flops_per_token * plan.tokens, 'FLOP')} in all",
        "# memory": f"about {scaled(plan.memory, 'B')}" + (f" of {scaled(there, 'B')}" if there else ""),
        "# expected time": f"about {duration(seconds)}, going by the fastest of a few steps made here",
    })  # fmt: skip


def print_summary(state, config, progress, folder):
    """What came out, and what to type next; progress: of the last step."""
    length = min(20, config.block_size)
    prompt = shlex.quote(f"--prompt={(progress.sample.split() or [progress.sample])[0][:length]}")
    run = quoted(folder)
    print(f"\nwhat it writes now:\n\n{visible(progress.sample)}\n")
    print_table({
        "steps": f"{state.step:,} ({state.step * config.tokens_per_step:,} tokens)",
        "training loss": f"{progress.loss:.4f}, of the last batch",
        "validation loss": f"{progress.val_loss:.4f} nats a token (perplexity {math.exp(progress.val_loss):.2f})",
        "lowest": f"{state.best_val_loss:.4f} after step {state.best_step:,}, kept in best.safetensors",
        "folder": str(folder),
    })  # fmt: skip
    print(f"\nnext: tinyllm generate {run} {prompt}\n      tinyllm eval {run}\n      tinyllm info {run}", flush=True)


def print_table(rows):
    """Names and values, side by side."""
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}   {value}")


def rounded_table(corner, names, rows):
    """rows: {name: numbers} as lines under the names of their columns; what is no whole number in four places."""

    def shown(value):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

    cells = [[corner, *names], *([name, *map(shown, values)] for name, values in rows.items())]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ("   ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:]))])
             for first, *rest in cells)  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)
