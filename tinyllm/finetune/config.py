"""What every fine-tuning is told. Loads no numpy, so that `tinyllm --help` is quick."""

import math
from dataclasses import dataclass
from pathlib import Path

from ..precision import check as check_precision
from ..training.config import Settings

PRESETS = Path(__file__).parent / "presets"  # PRESETS / command: TOML files of its flags
WAYS = {  # what may learn: {flag that belongs to it: its value where none is given}
    "all": {},
    "lora": {"lora_rank": lambda config: 8, "lora_alpha": lambda config: 2.0 * config.lora_rank,
             "lora_dropout": None, "lora_targets": None, "lora_qkv_apart": None},
    "bottleneck": {"bottleneck_size": lambda config: 16},
    "soft-prompt": {"prompt_length": lambda config: 8},
}  # fmt: skip


@dataclass(frozen=True)
class TuneConfig(Settings):
    bfloat16 = False  # whether the loss of the method is the model's own, which bfloat16 activations may reach

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
    "Numbers of the weights: float32 or float64."
    backend: str = "numpy"
    "Where to compute: numpy (CPU) or cupy (NVIDIA GPU)."
    precision: str = "fp32"
    "Arithmetic of a GPU: fp32; tf32 rounds what goes into products; bf16 rounds weights and activations."
    graph: str = "on"
    "On a GPU: on captures a training step once and replays it as one CUDA graph, off starts its kernels one by one."
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
        self._require("graph", self.graph in ("on", "off"), "on or off")
        self._require("dtype", self.dtype in ("float32", "float64"), "float32 or float64")
        check_precision(self.precision, self.backend, self.dtype)
        if self.precision == "bf16" and not self.bfloat16:
            raise ValueError("--precision bf16 is for train and finetune instruct: the losses of other methods are "
                             "float32 throughout; choose tf32 or fp32")

    @property
    def rows(self):
        """Examples in a step."""
        return self.batch_size * self.gradient_accumulation


@dataclass(frozen=True)
class AdapterConfig(TuneConfig):
    """What belongs to a way to adapt a model; a subclass says which ways are gone."""

    lora_rank: int | None = None
    "With lora: rank of the adapters; by default 8."
    lora_alpha: float | None = None
    "With lora: their scale, times the rank; by default twice the rank."
    lora_dropout: float = 0.0
    "With lora: probability with which an input of theirs is dropped."
    lora_targets: str = "c_attn,c_proj,c_fc"
    "With lora: linear layers to put them beside, patterns of names, or of their ends, with commas between; * for all."
    lora_qkv_apart: bool = False
    "With lora: adapt q, k and v each with a rank of its own."
    bottleneck_size: int | None = None
    "With bottleneck: its channels; by default 16."
    prompt_length: int | None = None
    "With soft-prompt: how many vectors it has; by default 8."

    def __post_init__(self):
        super().__post_init__()
        for way, defaults in WAYS.items():
            for name in defaults:
                if way not in self.ways and getattr(self, name) != getattr(type(self), name):
                    flag = name.replace("_", "-")
                    raise ValueError(f"--{flag} says nothing without {self.ASKED_BY} {way}; give both or none")
        for way in self.ways:
            for name, default in WAYS[way].items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, default(self))
        for name in ("lora_rank", "bottleneck_size", "prompt_length"):
            self._require(name, getattr(self, name) is None or getattr(self, name) >= 1, "1 or more")
        self._require("lora_alpha", self.lora_alpha is None or 0 <= self.lora_alpha < math.inf, "0 or more")
        self._require("lora_dropout", 0 <= self.lora_dropout < 1, "from 0 to below 1")


@dataclass(frozen=True)
class AdaptableConfig(AdapterConfig):
    ASKED_BY = "--tune"

    tune: str = "all"
    "What learns: all of the model or, beside it, lora, a bottleneck in each half of a block, or a soft-prompt."

    def __post_init__(self):
        self._require("tune", self.tune in WAYS, f"one of {', '.join(WAYS)}")
        super().__post_init__()

    @property
    def ways(self):
        return (self.tune,)
