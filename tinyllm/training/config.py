"""Everything that decides a training run. Loads no numpy, so that `tinyllm --help` is quick."""

import difflib
import json
import math
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from ..precision import check as check_precision

PRESETS = Path(__file__).parent / "presets"  # TOML files of these fields, to use by name or to copy
SAMPLING = {"temperature": 0.8, "top_k": 40, "top_p": 0.95}  # for samples, unless told otherwise


class Settings:
    """A dataclass of flags whose fields are checked, and written as TOML."""

    def to_toml(self):
        """The fields as a TOML file, in the form of a preset; those that are None or empty are left out."""
        lines = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                lines.append(f"{field.name} = {str(value).lower()}")
            elif isinstance(value, (int, float)):
                lines.append(f"{field.name} = {value!r}")
            elif isinstance(value, str):
                lines.append(f"{field.name} = {_quoted(value)}")
            elif value:
                lines.append(f"{field.name} = [{', '.join(map(_quoted, value))}]")
        return "\n".join(lines) + "\n"

    def _require(self, name, holds, expected):
        if not holds:
            raise ValueError(f"--{name.replace('_', '-')} must be {expected}, not {getattr(self, name)}")


@dataclass(frozen=True)
class TrainConfig(Settings):
    data: tuple[str, ...] = ()
    "Texts to learn, folders of them, shakespeare, or what `data prepare` made; by default Python's manual."
    tokenizer: str | None = None
    "What a token is: char (the default), gpt2, cl100k_base, o200k_base, or the folder of a saved tokenizer."
    vocab: str | None = None
    "File of the vocabulary that --tokenizer names: a vocab.bpe or a .tiktoken; without it tiktoken downloads it."
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
    "Sequences that are computed together."
    gradient_accumulation: int = 1
    "Batches whose gradients make one step: as one batch so many times larger, in the memory of one."
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
    "Steps between two evaluations on the whole validation split, each with a checkpoint and a sample."
    seed: int = 1337
    "Start of all randomness: weights, batches, dropout, the sample."
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
        object.__setattr__(self, "data", (self.data,) if isinstance(self.data, str) else tuple(self.data))
        if self.min_lr is None:
            object.__setattr__(self, "min_lr", self.learning_rate / 10)
        if self.warmup_iters is None:
            object.__setattr__(self, "warmup_iters", min(100, self.max_iters // 20))
        for name in ("n_layer", "n_head", "n_embd", "block_size", "batch_size", "gradient_accumulation", "max_iters",
                     "eval_interval", "workers"):  # fmt: skip
            value = getattr(self, name)
            self._require(name, value is None or value >= 1, "1 or more")
        self._require("workers", (self.workers or 1) <= 1024, "at most 1024")
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

    @property
    def tokens_per_step(self):
        return self.batch_size * self.block_size * self.gradient_accumulation


def _quoted(text):
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON allows DEL as it is, TOML does not


def preset_path(name, folder=PRESETS):
    """The file of a preset, by its name."""
    names = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in names:
        raise ValueError(f"there is no preset {name!r}{_did_you_mean(name, names)}; choose one of {', '.join(names)}, "
                         "or give a file of your own with --config")
    return folder / f"{name}.toml"


def read_toml(path, of=TrainConfig, command="train"):
    """The fields that a TOML file sets, {name: value}; a preset, or a file in its form.

    of: the Settings whose fields they are, and command: the one that has them as flags.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of a TOML file of training flags")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the path of a TOML file of training flags")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    kinds = {field.name: _kind(field.type) for field in fields(of)}
    for name, value in found.items():
        if name not in kinds:
            raise ValueError(f"{path}: there is no {name!r}{_did_you_mean(name, kinds)}; "
                             f"`tinyllm {command} --help` lists what can be set")
        expected, fits = FORMS[kinds[name]]
        if not fits(value):
            raise ValueError(f"{path}: {name} must be {expected}, not {value!r}")
    return found


FORMS = {  # what TOML may have for a field of a kind
    int: ("a whole number", lambda value: type(value) is int),
    float: ("a number", lambda value: type(value) in (int, float)),
    bool: ("true or false", lambda value: type(value) is bool),
    str: ("a text", lambda value: type(value) is str),
    tuple: ("a text or a list of texts", lambda value: all(type(v) is str for v in _listed(value))),
}


def _listed(value):
    return value if type(value) is list else [value]


def _kind(annotation):
    """int for int and int | None, tuple for tuple[str, ...]"""
    return getattr(annotation, "__origin__", None) or getattr(annotation, "__args__", (annotation,))[0]


def _did_you_mean(name, names):
    close = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
