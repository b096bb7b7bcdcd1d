"""`tinyllm finetune ppo`"""

from typing import Annotated

from cyclopts import Parameter

from ...finetune.ppo_config import PPOConfig
from .flags import Flags, carry_out_task, parameters_of

HELD_OUT = 64


def ppo(
    *,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    settings: Annotated[PPOConfig, Parameter(name="*")] = PPOConfig(),
):
    """Teach a model by rewards for what it answers: PPO, REINFORCE with a baseline, or GRPO.

    It starts from --model, a run of `finetune instruct`, of which a frozen copy stays beside it: leaving it costs.
    Whoever's function --reward FILE.py:FUNCTION names is run as a program is: give no file that you do not trust.
    """
    from ...training.run import quoted

    def facts_of(task):
        left_out = f" ({task.left_out:,} are too long)" if task.left_out else ""
        return {"prompts": f"{len(task.prompts):,}{left_out}", "held out": f"{len(task.val_prompts):,}",
                "parameters": parameters_of(task)}  # fmt: skip

    done = carry_out_task(settings.algorithm, lambda: task_of(settings), settings, flags, facts_of, copies=2)
    if done and not (flags.quiet or flags.json):
        task, state, folder = done
        _, said = task.validate(state)
        print(f"\nwhat it answers now:\n\n{task.sample(state)}\n\nmean reward on the prompts that are held out "
              f"{task.first_reward:.3f} before, {said['val_reward']:.3f} now, {said['val_kl']:.2f} nats an answer from "
              f"where it started\n\nnext: tinyllm chat {quoted(folder)}")  # fmt: skip


def task_of(settings):
    from ...finetune.base import load_base
    from ...finetune.chat_template import template_of
    from ...finetune.conversations import read_conversations
    from ...finetune.instruct import sha256_of
    from ...finetune.ppo import PolicyTask
    from ...finetune.prompts import make_prompts
    from ...finetune.rewards import reward_named
    from ...finetune.words import words_to_sort

    if not settings.model:
        raise ValueError("there is no model to start from; give --model, as the folder of a run that `tinyllm finetune "
                         "instruct` made")
    base, template = load_base(settings.model, settings), template_of(settings.model)
    asked = read_conversations(settings.data) if settings.data else words_to_sort()
    room = base[0].block_size - (settings.prompt_length or 0)
    prompts, left_out = make_prompts(asked, template, base[1], room, settings.max_new_tokens)
    held_out = min(HELD_OUT, len(prompts) // 2)
    reward = reward_named(settings.reward, base[1], template)
    task = PolicyTask(settings, base, prompts[held_out:], prompts[:held_out], reward, template, sha256_of(asked))
    task.left_out = left_out
    return task
