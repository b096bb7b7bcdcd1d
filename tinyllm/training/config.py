"""Everything that decides a training run. Loads no numpy, so that `tinyllm --help` is quick."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

PRESETS = Path(__file__).parent / "presets"  # TOML files of these fields, to use by name or to copy


@dataclass(frozen=True)
class TrainConfig:
    data: Path | None = None
    "UTF-8 text file to learn; without it, the manual that this Python carries."
    out_dir: Path | None = None
    "Folder for the model; by default runs/ and the name of the preset or of the text."
    n_layer: int = 4
    "Transformer blocks."
    n_head: int = 4
    "Attention heads in each block."
    n_embd: int = 128
    "Channels: the length of the vector of each position."
    block_size: int = 64
    "Longest sequence, in tokens: how far the model looks back."
    dropout: float = 0.0
    "Probability with which an activation is dropped in training."
    bias: bool = True
    "Biases in linear layers and layer norms."
    qkv_bias: bool | None = None
    "Bias in the projection to queries, keys and values; by default as --bias."
    tie_weights: bool = True
    "Use the token embedding as the output layer."
    batch_size: int = 12
    "Sequences in a step."
    max_iters: int = 2000
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
    eval_interval: int = 250
    "Steps between two evaluations on the whole validation split."
    seed: int = 1337
    "Start of all randomness: weights, batches, dropout, the sample."
    dtype: str = "float32"
    "Precision: float32 or float64."

    def __post_init__(self):
        if self.min_lr is None:
            object.__setattr__(self, "min_lr", self.learning_rate / 10)
        if self.warmup_iters is None:
            object.__setattr__(self, "warmup_iters", min(100, self.max_iters // 20))
        for name in ("n_layer", "n_head", "n_embd", "block_size", "batch_size", "max_iters", "eval_interval"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "min_lr", "weight_decay", "grad_clip", "warmup_iters", "seed"):
            value = getattr(self, name)
            self._require(name, value >= 0 and math.isfinite(value), "0 or more")
        for name in ("beta1", "beta2", "dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        self._require("min_lr", self.min_lr <= self.learning_rate, f"at most --learning-rate {self.learning_rate}")
        self._require("warmup_iters", self.warmup_iters < self.max_iters, f"below --max-iters {self.max_iters}")
        self._require("dtype", self.dtype in ("float32", "float64"), "float32 or float64")

    def _require(self, name, holds, expected):
        if not holds:
            raise ValueError(f"--{name.replace('_', '-')} must be {expected}, not {getattr(self, name)}")

    def to_toml(self):
        """The fields as a TOML file, in the form of a preset; those that are None are left out."""
        lines = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                lines.append(f"{field.name} = {str(value).lower()}")
            elif isinstance(value, (int, float)):
                lines.append(f"{field.name} = {value!r}")
            elif value is not None:
                lines.append(f"{field.name} = {json.dumps(str(value), ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


def preset_path(name):
    """The file of a preset, by its name."""
    names = sorted(path.stem for path in PRESETS.glob("*.toml"))
    if name not in names:
        raise ValueError(f"there is no preset {name!r}; choose one of {', '.join(names)}")
    return PRESETS / f"{name}.toml"
