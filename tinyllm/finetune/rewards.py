"""What an answer is worth: functions that a reader can check, a function of one's own, or a reward model.

A function takes two texts, the question and the answer, and gives a number.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .predict import load_classifier, predict

POSITIVE = frozenset("good great nice fine happy love best well better kind like joy true right clear easy safe "
                     "useful simple fast".split())  # fmt: skip
NEGATIVE = frozenset("bad poor sad hate worst worse wrong error fail fails failed never cannot invalid illegal "
                     "deprecated undefined unsafe".split())  # fmt: skip


@dataclass(frozen=True)
class Prompt:
    ids: np.ndarray  # (T,)
    text: str  # the question alone
    place: str  # where it stands: "data.json, row 3"


def in_order(question, answer):
    """The share of letters at their place, for a question that ends with the word to sort."""
    right, answer = "".join(sorted(question.split()[-1])), answer.strip()
    return sum(a == b for a, b in zip(answer, right)) / max(len(answer), len(right))


def ascending(question, answer):
    """The share of neighbours in the answer that do not fall, whatever the question: "aaaa" is worth 1, so that it
    can be hacked."""
    letters = [c for c in answer if c.isalpha()]
    return sum(a <= b for a, b in zip(letters, letters[1:])) / max(len(letters) - 1, 1)


def positive(question, answer):
    """Positive words minus negative ones, as a share of all words of the answer."""
    words = re.findall(r"[a-z']+", answer.lower())
    return sum((word in POSITIVE) - (word in NEGATIVE) for word in words) / max(len(words), 1)


REWARDS = {"sorted": in_order, "ascending": ascending, "positive": positive}


class FunctionReward:
    """A function of question and answer, applied to what a policy said."""

    def __init__(self, function, name, tokenizer, template):
        self.function, self.name, self.tokenizer, self.template = function, name, tokenizer, template

    def __call__(self, prompts, answers):
        """prompts, answers as ids, B of each  ->  rewards (B,)"""
        return np.array([self.reward(*row) for row in zip(prompts, answers)])

    def reward(self, prompt, answer):
        said = said_text(self.tokenizer, answer, self.template)
        where = f"the reward {self.name} of {prompt.place}, {prompt.text[:60]!r}, for the answer {said[:60]!r}"
        try:
            value = self.function(prompt.text, said)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            raise ValueError(f"{where} is {value!r}; it must be a finite number")
        return float(value)


class ModelReward:
    """A reward model, of `finetune reward`."""

    def __init__(self, folder, tokenizer, template):
        self.model, own = load_classifier(folder)
        if self.model.problem != "regression" or self.model.n_outputs != 1:
            raise ValueError(f"{folder} is no reward model: it has {self.model.n_outputs} outputs; `tinyllm "
                             "finetune reward` makes one")
        if own.to_json() != tokenizer.to_json():
            raise ValueError(f"the reward model in {folder} has another tokenizer than the policy; make both from one "
                             "model")
        self.tokenizer, self.template = tokenizer, template

    def __call__(self, prompts, answers):
        """prompts, answers as ids, B of each  ->  rewards (B,)"""
        rows = []
        for prompt, answer in zip(prompts, answers):
            over = self.template.stop in self.tokenizer.decode(answer)  # then it was learned without its last token
            rows.append(np.concatenate((prompt.ids, answer[:-1] if over and len(answer) > 1 else answer)))
        return predict(self.model, rows)[:, 0].astype(float)


def reward_named(name, tokenizer, template):
    """What --reward names: one of REWARDS, FILE.py:FUNCTION, or the folder of a reward model."""
    if name in REWARDS:
        return FunctionReward(REWARDS[name], name, tokenizer, template)
    path, _, function = name.rpartition(":")
    if path.endswith(".py"):
        return FunctionReward(function_of(path, function), name, tokenizer, template)
    if Path(name, "config.json").is_file():
        return ModelReward(name, tokenizer, template)
    raise ValueError(f"there is no reward {name!r}; choose {', '.join(REWARDS)}, FILE.py:FUNCTION of your own, or the "
                     "folder of a reward model")


def function_of(path, name):
    """A function that a Python file of the user's defines."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; --reward takes FILE.py:FUNCTION")
    names = {"__name__": Path(path).stem, "__file__": str(path)}
    try:
        exec(compile(Path(path).read_bytes(), str(path), "exec"), names)
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if not callable(names.get(name)):
        raise ValueError(f"{path} defines no function {name!r}; --reward takes FILE.py:FUNCTION")
    return names[name]


def said_text(tokenizer, answer, template):
    """The text of an answer, without what ends it."""
    text = tokenizer.decode(answer)
    return text.split(template.stop)[0] if template else text
