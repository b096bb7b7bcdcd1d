"""`tinyllm`: which commands there are, and what a user sees when something is wrong."""

import os
import re
import sys
import warnings
from pathlib import Path

from cyclopts import App, CycloptsError, Group
from cyclopts.config import Dict
from cyclopts.exceptions import CoercionError, UnknownOptionError, UnusedCliTokensError, ValidationError

from .. import __version__
from ..finetune.classify_config import ClassifyConfig
from ..finetune.config import PRESETS as TUNING_PRESETS
from ..finetune.forgetting_config import ForgettingConfig
from ..finetune.instruct_config import InstructConfig
from ..finetune.ppo_config import PPOConfig
from ..finetune.preference_config import DPOConfig, RewardConfig
from ..training.config import PRESETS, TrainConfig, preset_path, read_toml
from .attention import attention
from .chat import chat
from .check import check
from .classify import classify
from .data import data
from .doctor import doctor
from .eval import eval_
from .exercise import exercise
from .export import export
from .finetune import finetune
from .generate import generate
from .info import info
from .step import step
from .train import train
from .train_embeddings import train_embeddings

NEVER_EMPTY = ("--preset", "--config", "--resume", "--out-dir", "--data", "--run", "--out", "--check", "--near",
               "--analogy", "--plot")
CONFIGS = {  # command: the class of its flags, and where the files of its presets are
    "train": (TrainConfig, PRESETS),
    "finetune classify": (ClassifyConfig, TUNING_PRESETS / "classify"),
    "finetune instruct": (InstructConfig, TUNING_PRESETS / "instruct"),
    "finetune reward": (RewardConfig, TUNING_PRESETS / "reward"),
    "finetune dpo": (DPOConfig, TUNING_PRESETS / "dpo"),
    "finetune forgetting": (ForgettingConfig, TUNING_PRESETS / "forgetting"),
    "finetune ppo": (PPOConfig, TUNING_PRESETS / "ppo"),
}
OFTEN_MEANT = {"--lr": "--learning-rate", "--epochs": "--max-iters", "--steps": "--max-iters", "--iters": "--max-iters"}
USERS_MISTAKES = (CycloptsError, ValueError, ArithmeticError, OSError, ImportError, MemoryError, IndexError)


def main(arguments=None):
    """Run a command and leave with its exit code: 0, 2 for a mistake of the user's, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _open_streams()
    warnings.showwarning = _warn
    try:
        app = _app(_defaults(arguments))
        app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError as error:
        sys.stdout = open(os.devnull, "w")  # the interpreter flushes once more when it ends
        _leave(141, "\n".join(["standard output was closed", *_notes(error)]))
    except KeyboardInterrupt as error:
        _leave(130, "\n".join(["stopped", *_notes(error)]))
    except USERS_MISTAKES as error:
        _leave(2, "\n".join([_message(error), *_notes(error)]))


def _app(defaults):
    """The commands; defaults: {flag: value} of those that are not given."""
    whole = Group("Parameters", validator=_check)
    app = App(name="tinyllm", help="A complete small language model in transparent numpy.", version=__version__,
              group_parameters=whole, config=defaults, suppress_keyboard_interrupt=False)  # fmt: skip
    commands = {"train": train, "generate": generate, "chat": chat, "eval": eval_, "info": info, "attention": attention,
                "step": step, "check": check, "exercise": exercise, "train-embeddings": train_embeddings, "data": data,
                "finetune": finetune, "classify": classify, "export": export, "doctor": doctor}  # fmt: skip
    for name, command in commands.items():
        app.command(command, name=name)
    return app


def _defaults(arguments):
    """What --preset, --config or --resume say: their file holds defaults, so it is read before the other flags are."""
    command = next((name for name in CONFIGS if arguments[: len(name.split())] == name.split()), None)
    if command is None:
        return ()
    settings, presets = CONFIGS[command]
    given = {flag: _value(arguments, flag) for flag in ("--preset", "--config", "--resume")}
    given = {flag: value for flag, value in given.items() if value}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} each set all flags; give one of them")
    for flag, value in given.items():
        if flag == "--preset":
            path = preset_path(value, presets)
        else:
            path = Path(value) if flag == "--config" else _config_of_run(value, command)
        found = read_toml(path, settings, command)
        for name in reversed(command.split()):  # below it: `data` is a command, too
            found = {name: found}
        return Dict(found, source=str(path))
    return ()


def _config_of_run(folder, command):
    from ..finetune.loading import base_folder
    from ..training.run import CONFIG, has_checkpoint

    if not (has_checkpoint(folder) or has_checkpoint(base_folder(folder))):
        config = Path(folder, CONFIG)
        hint = f"start it again: tinyllm {command} --config {config} --out-dir {folder}" if config.is_file() else (
            f"give the folder of a run, as `tinyllm {command}` makes it")  # fmt: skip
        raise FileNotFoundError(f"{folder} holds no checkpoint (training_state.safetensors) to go on from; {hint}")
    return Path(folder, CONFIG)


def _value(arguments, name):
    for flag, value in zip(arguments, [*arguments[1:], ""]):
        if flag == name:
            return value
        if flag.startswith(f"{name}="):
            return flag.partition("=")[2]
    return None


def _check(parsed):
    """What a parser lets pass: 2.5 layers would become 2, and an empty folder the one we are in."""
    for argument in parsed:
        for token in argument.tokens:
            if argument.hint in (int, int | None) and not re.fullmatch(r"[+-]?\d[\d_]*", token.value.strip()):
                raise ValueError(_no_whole_number(argument.name, token.value))
            if argument.name in NEVER_EMPTY and not token.value:
                raise ValueError(f"{argument.name} is empty; give it a value, or leave it out")


def _no_whole_number(name, value):
    return f"{name} must be a whole number, not {value or repr(value)}"


def _open_streams():
    """Print what a terminal cannot show as ?, and do without a standard output where there is none."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _warn(message, *where):
    print(f"tinyllm: {message}", file=sys.stderr)


def _message(error):
    """What is said of a mistake: mostly what the error says, but for a few that the parser tells less well."""
    if isinstance(error, UnusedCliTokensError):
        token = error.unused_tokens[0]
        hint = f"did you mean --data {token}?" if Path(token).exists() else "--help lists what there is"
        return f"do not know what to do with {' '.join(map(repr, error.unused_tokens))}; {hint}"
    if isinstance(error, UnknownOptionError) and error.token.keyword in OFTEN_MEANT:
        return f"Unknown option: {error.token.keyword}. Did you mean {OFTEN_MEANT[error.token.keyword]}?"
    if isinstance(error, CoercionError) and error.argument and error.argument.hint in (int, int | None):
        return _no_whole_number(error.argument.name, error.token.value)
    if isinstance(error, ValidationError):
        return error.exception_message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return str(error) or type(error).__name__


def _notes(error):
    return getattr(error, "__notes__", [])


def _leave(code, message):
    print(f"tinyllm: {message}", file=sys.stderr)
    sys.exit(code)
