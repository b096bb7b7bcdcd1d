"""Which rules hold, and in which order they follow each other: that of Hugging Face's `generate`."""

import math
from dataclasses import dataclass

import numpy as np

from . import sampling


@dataclass(frozen=True)
class Stage:
    """What a rule left, for whoever wants to look at it."""

    name: str
    probabilities: np.ndarray  # (V,)
    cut: np.ndarray  # ids that were left before it


@dataclass(frozen=True)
class Rules:
    """repetition_penalty, then temperature, top_k, top_p, min_p (each in sampling.py); None leaves a rule out.

    A temperature of 0 takes the highest score, so nothing that follows has anything to choose from.
    """

    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self):
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature must be 0 (greedy) or a positive number, not {self.temperature}")
        if not (self.repetition_penalty > 0 and math.isfinite(self.repetition_penalty)):
            raise ValueError(f"repetition_penalty must be a positive number (1 is none), not {self.repetition_penalty}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be 1 or more, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be from 0 to 1, not {self.min_p}")

    @property
    def greedy(self):
        """Whether the highest score is the choice, and nothing changes the scores before."""
        return self.temperature == 0 and self.repetition_penalty == 1

    def steps(self, logits, seen):
        """(name of the rule, the row after it) for each rule that does something.

        logits (V,)  seen (T,) ids
        """
        if self.repetition_penalty != 1:
            logits = sampling.repetition_penalty(logits, seen, self.repetition_penalty)
            yield f"repetition_penalty {self.repetition_penalty:g}", logits
        if self.temperature == 0:
            yield "greedy", sampling.greedy(logits)
            return
        if self.temperature != 1:
            logits = sampling.temperature(logits, self.temperature)
            yield f"temperature {self.temperature:g}", logits
        if self.top_k is not None:
            logits = sampling.top_k(logits, self.top_k)
            yield f"top_k {self.top_k}", logits
        if self.top_p is not None and self.top_p < 1:
            logits = sampling.top_p(logits, self.top_p)
            yield f"top_p {self.top_p:g}", logits
        if self.min_p is not None:
            logits = sampling.min_p(logits, self.min_p)
            yield f"min_p {self.min_p:g}", logits

    def choose(self, logits, seen, u):
        """The next token; u in [0, 1) decides where chance does.

        logits (V,)  seen (T,) ids  ->  id
        """
        for _, logits in self.steps(logits, seen):
            pass
        return sampling.sample(logits, u)

    def explain(self, logits, seen):
        """A Stage for the model's own scores, and one for each rule.

        logits (V,)  seen (T,) ids
        """
        stages = [Stage("model", sampling.softmax(logits), np.array([], int))]
        left = sampling.candidates(logits)
        for name, logits in self.steps(logits, seen):
            before, left = left, sampling.candidates(logits)
            stages.append(Stage(name, sampling.softmax(logits), np.setdiff1d(before, left)))
        return stages
