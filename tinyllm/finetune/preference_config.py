"""Everything that decides `tinyllm finetune reward` and `tinyllm finetune dpo`. Loads no numpy."""

from dataclasses import dataclass

from .config import AdaptableConfig


@dataclass(frozen=True)
class PreferenceConfig(AdaptableConfig):
    data: str | None = None
    "JSON or JSONL file of prompt (or instruction), chosen and rejected; by default words, sorted rightly and wrongly."
    equal_is_tie: bool = False
    "Take pairs of equal answers for ties, and do not refuse them."
    max_iters: int = 200
    "Training steps."
    val_fraction: float = 0.1
    "Part of the pairs that is held out."
    eval_interval: int = 50
    "Steps between two evaluations on the pairs that are held out, each with a checkpoint."

    def __post_init__(self):
        super().__post_init__()
        self._require("val_fraction", 0 < self.val_fraction < 1, "between 0 and 1")


@dataclass(frozen=True)
class RewardConfig(PreferenceConfig):
    learning_rate: float = 1e-3
    "Highest learning rate, reached after the warm-up."


@dataclass(frozen=True)
class DPOConfig(PreferenceConfig):
    beta: float = 0.1
    "How closely the policy is held to the one it starts from: a nat of difference is worth so much reward."
    learning_rate: float = 1e-4
    "Highest learning rate, reached after the warm-up."
    weight_decay: float = 0.0
    "AdamW: pull of matrices towards 0."

    def __post_init__(self):
        super().__post_init__()
        self._require("beta", 0 < self.beta < float("inf"), "more than 0")
