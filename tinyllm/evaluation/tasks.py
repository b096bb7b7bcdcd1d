"""Questions from local files, answered by what the model finds most likely: HellaSwag and LAMBADA.

Texts are put together and answers are counted as in EleutherAI's lm-evaluation-harness, without examples in the prompt,
so that its figures can be compared.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .likelihood import log_probs


@dataclass(frozen=True)
class Question:
    context: str
    choices: tuple  # how the text may go on
    answer: int  # which of them is right


def read_questions(task, paths, limit=None):
    """The Questions of JSON Lines files, one object a line; the first `limit` of them."""
    questions = []
    for path in paths:
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
            if line.strip() and (limit is None or len(questions) < limit):
                questions.append(_read(task, line, f"{path}, line {number}"))
    if not questions:
        raise ValueError(f"{', '.join(map(str, paths))}: no questions there; give a file of JSON objects, one a line")
    return questions


def _read(task, line, place):
    try:
        return TASKS[task].read(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{place} is no question of {task}: {TASKS[task].form} ({type(error).__name__}: "
                         f"{str(error)[:100]})") from error


def score_choices(model, tokenizer, question):
    """log p of each choice of a Question after its context, summed over its tokens, and whether each of these was the
    likeliest.

    The context and a choice are encoded as one text; where the model cannot look back so far, the beginning is cut.
    """
    n = len(tokenizer.encode(question.context.rstrip()))  # a space belongs to the token behind it
    rows = [np.asarray(tokenizer.encode(question.context + choice)) for choice in question.choices]
    lengths = [len(row) - n for row in rows]
    if n < 1 or min(lengths) < 1 or max(lengths) > model.block_size:
        raise ValueError(f"a question has {n} tokens of context and choices of {lengths}: each must have one or more, "
                         f"a choice at most block_size={model.block_size}: {question.context[:80]!r}")
    rows = [row[-model.block_size - 1 :] for row in rows]
    inputs = np.zeros((len(rows), max(map(len, rows)) - 1), np.int64)  # behind the end it does not matter what stands
    targets = np.full_like(inputs, -100)
    for i, (row, length) in enumerate(zip(rows, lengths)):
        inputs[i, : len(row) - 1] = row[:-1]
        targets[i, len(row) - 1 - length : len(row) - 1] = row[-length:]
    found, likeliest = log_probs(model, inputs, targets)
    return found.sum(axis=1), (likeliest | (targets == -100)).all(axis=1)


class HellaSwag:
    """Which of four endings a scene has (Zellers et al. 2019, arXiv:1905.07830); guessing gives 0.25."""

    form = '{"activity_label": text, "ctx_a": text, "ctx_b": text, "endings": [texts], "label": which is right}'
    protocol = ("0-shot. Context: 'activity_label: ctx_a Ctx_b', without [brackets]. An ending, behind a space, scores "
                "the sum of its tokens' log-probabilities. acc: the highest sum is right; acc_norm: the highest sum "
                "divided by the characters of the ending")  # fmt: skip

    @staticmethod
    def read(entry):
        context = f"{entry['activity_label']}: {entry['ctx_a']} {entry['ctx_b'].capitalize()}"
        choices, answer = tuple(" " + _clean(ending) for ending in entry["endings"]), int(entry["label"])
        if not 0 <= answer < len(choices):
            raise IndexError(f"there is no ending {answer}")
        return Question(_clean(context), choices, answer)

    @staticmethod
    def score(questions, scores):
        right, right_norm = [], []
        for question, (sums, _) in zip(questions, scores):
            lengths = [len(choice) - 1 for choice in question.choices]
            right.append(int(np.argmax(sums)) == question.answer)
            right_norm.append(int(np.argmax(sums / np.maximum(lengths, 1))) == question.answer)
        return {**_share("acc", right), **_share("acc_norm", right_norm)}


class Lambada:
    """The last word of a passage (Paperno et al. 2016, arXiv:1606.06031), in OpenAI's form."""

    form = '{"text": passage}'
    protocol = ("0-shot. The text up to its last space is the context; the rest, with that space, is scored: the sum "
                "of its tokens' log-probabilities. acc: each of these tokens is the likeliest; perplexity: e^(− mean "
                "of the sums)")  # fmt: skip

    @staticmethod
    def read(entry):
        context, space, word = entry["text"].rpartition(" ")
        if not context or not word:
            raise ValueError("the text must be two words or more, and end with one")
        return Question(context, (space + word,), 0)

    @staticmethod
    def score(questions, scores):
        right = [bool(likeliest[0]) for _, likeliest in scores]
        return {**_share("acc", right), "perplexity": math.exp(-np.mean([sums[0] for sums, _ in scores]))}


TASKS = {"hellaswag": HellaSwag, "lambada": Lambada}


def _clean(text):
    """Without the [step] and [title] that WikiHow's articles have left in HellaSwag."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _share(name, right):
    """The share of right answers, and its standard error."""
    n, p = len(right), float(np.mean(right))
    return {name: p, f"{name}_stderr": math.sqrt(p * (1 - p) / (n - 1)) if n > 1 else math.nan}
