"""`tinyllm finetune`: what a model that can write may learn to do with it."""

from cyclopts import App

from .classify import classify

finetune = App(name="finetune", help="Teach a model something after its pre-training.")
for command in (classify,):
    finetune.command(command)
