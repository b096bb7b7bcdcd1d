"""What every fine-tuning is told. Loads no numpy, so that `tinyllm --help` is quick."""

import math
from dataclasses import dataclass
from pathlib import Path

from ..training.config import Settings

PRESETS = Path(__file__).parent / "presets"  # PRESETS / command: TOML files of its flags


@dataclass(frozen=True)
class TuneConfig(Settings):
    data: str | None = None
    "File to learn from."
    model: str | None = None
    "Model to start from: the folder of a run or of Hugging Face's, or gpt2 once `data download` has fetched it."
    batch_size: int = 16
    "Examples that are computed together."
    gradient_accumulation: int = 1
    "Batches whose gradients make one step: as one batch so many times larger, in the memory of one."
    max_iters: int = 500
    "Training steps."
    learning_rate: float = 1e-3
    "Highest learning rate, reached after the warm-up."
    min_lr: float | None = None
    "Learning rate at the end of the cosine; by default a tenth of the highest."
    warmup_iters: int | None = None
    "Steps over which the learning rate rises from 0; by default a twentieth of all, at most 100."
    beta1: float = 0.9
    "AdamW: how much of the last mean gradient is kept."
    beta2: float = 0.99
    "AdamW: how much of the last mean squared gradient is kept."
    weight_decay: float = 0.1
    "AdamW: pull of matrices towards 0; biases and norms are left alone."
    grad_clip: float = 1.0
    "Longest gradient, all parameters together; 0 does not clip."
    dropout: float = 0.0
    "Probability with which an activation is dropped in training."
    eval_interval: int = 100
    "Steps between two evaluations on the validation part, each with a checkpoint."
    seed: int = 1337
    "Start of all randomness: the split, batches, dropout, new weights."
    dtype: str = "float32"
    "Precision: float32 or float64."
    backend: str = "numpy"
    "Where to compute: numpy (CPU) or cupy (NVIDIA GPU)."
    workers: int | None = None
    "CPU cores to use; by default all."

    def __post_init__(self):
        if self.min_lr is None:
            object.__setattr__(self, "min_lr", self.learning_rate / 10)
        if self.warmup_iters is None:
            object.__setattr__(self, "warmup_iters", min(100, self.max_iters // 20))
        for name in ("batch_size", "gradient_accumulation", "max_iters", "eval_interval", "workers"):
            value = getattr(self, name)
            self._require(name, value is None or value >= 1, "1 or more")
        for name in ("learning_rate", "min_lr", "weight_decay", "grad_clip", "warmup_iters", "seed"):
            value = getattr(self, name)
            self._require(name, value >= 0 and math.isfinite(value), "0 or more")
        for name in ("beta1", "beta2", "dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        self._require("min_lr", self.min_lr <= self.learning_rate, f"at most --learning-rate {self.learning_rate}")
        self._require("warmup_iters", self.warmup_iters < self.max_iters, f"below --max-iters {self.max_iters}")
        self._require("dtype", self.dtype in ("float32", "float64"), "float32 or float64")

    @property
    def rows(self):
        """Examples in a step."""
        return self.batch_size * self.gradient_accumulation


@dataclass(frozen=True)
class AdapterConfig(TuneConfig):
    lora_rank: int = 0
    "Rank of LoRA adapters, which learn in place of the model; 0 for none."
    lora_alpha: float | None = None
    "Their scale, times the rank; by default twice the rank."
    lora_dropout: float = 0.0
    "Probability with which an input of theirs is dropped."
    lora_targets: str = "c_attn,c_proj,c_fc"
    "Linear layers to put them beside: patterns of names, or of their ends, with commas between; * for all."
    lora_qkv_apart: bool = False
    "Adapt q, k and v each with a rank of its own."

    def __post_init__(self):
        super().__post_init__()
        if self.lora_alpha is None:
            object.__setattr__(self, "lora_alpha", 2.0 * self.lora_rank)
        for name in ("lora_rank", "lora_alpha"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        self._require("lora_dropout", 0 <= self.lora_dropout < 1, "from 0 to below 1")
