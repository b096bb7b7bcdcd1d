"""Predict, then see: what is asked at a step, and whether a guess is right. The same questions as on the page."""

import re
from dataclasses import dataclass

import numpy as np

from .arithmetic import equation

CLOSE = 0.1  # a value counts as right within so much of it


@dataclass(frozen=True)
class Question:
    text: str
    kind: str
    answer: object

    def is_right(self, guess):
        guess = guess.strip().replace("−", "-")
        if self.kind == "shape":
            return tuple(map(int, re.findall(r"\d+", guess))) == self.answer
        if self.kind == "sign":
            return bool(guess) and ("positive" if self.answer > 0 else "negative").startswith(
                {"+": "positive", "-": "negative"}.get(guess, guess.lower()))
        try:
            return abs(float(guess.replace(",", ".")) - self.answer) <= CLOSE * abs(self.answer)
        except ValueError:
            return False


def question(walk, stop):
    """The Question of a step, the same one every time; None where there is nothing to ask."""
    if stop.step.call is None or stop.phase == "after":
        return None
    back = stop.phase == "backward"
    result = stop.step.share if back else stop.step.after
    kinds = ("sign", "value") if back else ("shape", "sign", "value")
    kind = kinds[stop.index % len(kinds)]
    name = f"this share of {walk.gradient(stop.step.value)}" if back else walk.label[stop.step.value]
    if kind == "shape":
        return Question(f"Which shape will {name} have? Write it as 1, 16, 48.", kind, result.shape)
    cell = askable(walk, stop, result)
    if cell is None:
        return None
    there = f"{name}[{', '.join(map(str, cell))}]"
    text = (f"Will {there} be positive or negative? Write + or -." if kind == "sign" else
            f"Which value will {there} have? 10 % off counts as right.")  # fmt: skip
    return Question(text, kind, float(result[cell]))


def askable(walk, stop, result):
    """A cell whose number is worth asking for and can be worked out."""
    for i in range(min(result.size, 50)):
        cell = tuple(map(int, np.unravel_index(((stop.index + 1) * 7919 + i * 31) % result.size, result.shape)))
        if np.isfinite(result[cell]) and result[cell] != 0 and equation(walk, stop, cell):
            return cell
    return None
