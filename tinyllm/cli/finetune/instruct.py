"""`tinyllm finetune instruct`"""

from typing import Annotated

from cyclopts import Parameter

from ...finetune.instruct_config import InstructConfig
from .flags import Flags, carry_out_task, parameters_of


def instruct(
    *,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    settings: Annotated[InstructConfig, Parameter(name="*")] = InstructConfig(),
):
    """Teach a model to answer: instructions with their answers, of which only the answers are learned.

    Without --model, a small one is made. `tinyllm chat` talks with the result.
    """
    from ...finetune.conversations import read_conversations
    from ...finetune.instruct import InstructionTuning
    from ...finetune.words import word_tasks
    from ...training.run import quoted

    def make():
        return InstructionTuning(settings, read_conversations(settings.data) if settings.data else word_tasks())

    def facts_of(task):
        if not (flags.quiet or flags.json or flags.dry_run or flags.resume) and settings.model:
            print(f"before:\n\n{task.answers(task.model)}\n")
        left_out = f" ({task.left_out:,} are too long)" if task.left_out else ""
        return {"conversations to learn from": f"{len(task.train_examples):,}{left_out}",
                "held out": f"{len(task.val_examples):,}",
                "parameters": parameters_of(task)}  # fmt: skip

    done = carry_out_task("instruct", make, settings, flags, facts_of)
    if done and not (flags.quiet or flags.json):
        task, state, folder = done
        print(f"\nwhat it answers now:\n\n{task.answers(state.model)}\n\n"
              f"held-out answer loss {state.best_val_loss:.4f} nats a token at its lowest, after step "
              f"{state.best_step:,}\n\nnext: tinyllm chat {quoted(folder)}")  # fmt: skip
