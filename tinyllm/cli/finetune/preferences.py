"""`tinyllm finetune reward` and `tinyllm finetune dpo`: both learn from pairs of answers."""

from typing import Annotated

from cyclopts import Parameter

from ...finetune.preference_config import DPOConfig, RewardConfig
from .flags import Flags, carry_out_task, parameters_of


def reward(
    *,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    settings: Annotated[RewardConfig, Parameter(name="*")] = RewardConfig(),
):
    """Learn a reward: a number for an answer, from pairs of which one was preferred (Bradley–Terry).

    It starts from --model, a run of `finetune instruct`, and can judge for `finetune ppo --reward`.
    """
    from ...finetune.reward import RewardModel
    from ...training.run import quoted
    from ..summary import rounded_table

    make = lambda: RewardModel(settings, pairs_of(settings))
    done = carry_out_task("reward", make, settings, flags, facts_of, rows=2)
    if done and not (flags.quiet or flags.json):
        task, state, folder = done
        table = {f"{low:.1f} … {high:.1f}": row for low, high, *row in task.calibration(state.model)}
        said = rounded_table("sure to", ("pairs", "mean", "right"), table) if table else "they are all ties"
        print(f"\nof the pairs that are held out, how sure the model is which answer is better, and how often it is "
              f"right:\n\n{said}\n\nnext: tinyllm finetune ppo --model {settings.model} --reward {quoted(folder)}")


def dpo(
    *,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    settings: Annotated[DPOConfig, Parameter(name="*")] = DPOConfig(),
):
    """Teach a model which of two answers is better, with no reward model in between (direct preference optimization).

    It starts from --model, a run of `finetune instruct`, of which a frozen copy stays beside it.
    """
    from ...finetune.dpo import DPO
    from ...training.run import quoted

    make = lambda: DPO(settings, pairs_of(settings))
    done = carry_out_task("dpo", make, settings, flags, facts_of, copies=2, rows=2)
    if done and not (flags.quiet or flags.json):
        task, state, folder = done
        loss, said = task.validate(state)
        print(f"\nwhat it answers now:\n\n{task.sample(state)}\n\nof the pairs that are held out, the better answer "
              f"gained more in {said['val_accuracy']:.1%}; loss {loss:.4f}, at first ln 2 = 0.6931\n\n"
              f"next: tinyllm chat {quoted(folder)}")  # fmt: skip


def pairs_of(settings):
    from ...finetune.conversations import read_pairs
    from ...finetune.words import word_pairs

    return read_pairs(settings.data, settings.equal_is_tie) if settings.data else word_pairs()


def facts_of(task):
    left_out = f" ({task.left_out:,} are too long)" if task.left_out else ""
    return {"pairs to learn from": f"{len(task.train_rows):,}{left_out}", "held out": f"{len(task.val_rows):,}",
            "parameters": parameters_of(task)}  # fmt: skip
