"""`tinyllm finetune`: what a model that can write may learn to do with it."""

from cyclopts import App

from .classify import classify
from .forgetting import forgetting
from .instruct import instruct
from .ppo import ppo
from .preferences import dpo, reward

finetune = App(name="finetune", help="Teach a model something after its pre-training.")
for command in (classify, instruct, reward, dpo, ppo, forgetting):
    finetune.command(command)
