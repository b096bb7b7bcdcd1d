"""Everything that decides `tinyllm finetune forgetting`. Loads no numpy."""

from dataclasses import dataclass

from .config import WAYS, AdapterConfig

METHODS = ("nothing", "replay", "freezing", "lora", "ewc")
MORE = ("bottleneck", "soft-prompt")  # those that are compared where --methods names them


@dataclass(frozen=True)
class ForgettingConfig(AdapterConfig):
    ASKED_BY = "--methods"

    data: str | None = None
    "Text of the new task; by default code of Python's own library."
    old_data: str | None = None
    "Text of the old task; by default Python's manual."
    methods: str = ",".join(METHODS)
    "Which to compare, with commas between; there are bottleneck and soft-prompt, too."
    replay: float = 0.25
    "With replay: the share of each batch that is old text."
    ewc_lambda: float = 300.0
    "With ewc: how much it costs to move a weight that the old task needs."
    fisher_windows: int = 200
    "With ewc: windows of old text from which it learns which weights those are."
    max_iters: int = 200
    "Training steps on the new task, for each method."
    eval_interval: int = 50
    "Steps between two evaluations on both tasks, each with a checkpoint."
    tokenizer: str | None = None
    "What a token of a new model is: char (the default), gpt2, cl100k_base, o200k_base, or the folder of a saved one."
    vocab: str | None = None
    "File of the vocabulary that --tokenizer names: a vocab.bpe or a .tiktoken; without it tiktoken downloads it."
    n_layer: int = 2
    "Transformer blocks of the small model that learns the old task where --model names none; so do the next five."
    n_head: int = 4
    "Attention heads in each block."
    n_embd: int = 64
    "Channels: the length of the vector of each position."
    block_size: int = 64
    "Longest sequence, in tokens."
    pretrain_iters: int = 600
    "Steps in which it learns the old task."

    def __post_init__(self):
        for name in self.chosen:
            self._require("methods", name in METHODS + MORE, f"some of {', '.join(METHODS + MORE)}")
        super().__post_init__()
        if self.model and (self.tokenizer or self.vocab):
            raise ValueError(f"--model {self.model} has a tokenizer of its own; leave --tokenizer and --vocab out")
        self._require("replay", 0 < self.replay < 1, "above 0 and below 1")
        self._require("ewc_lambda", 0 <= self.ewc_lambda < float("inf"), "0 or more")
        for name in ("n_layer", "n_head", "n_embd", "block_size", "pretrain_iters", "fisher_windows"):
            self._require(name, getattr(self, name) >= 1, "1 or more")

    @property
    def chosen(self):
        return [name.strip() for name in self.methods.split(",")]

    @property
    def ways(self):
        return [name for name in self.chosen if name in WAYS]

    @property
    def tokens_per_step(self):
        return self.rows * self.block_size
