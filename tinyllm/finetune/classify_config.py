"""Everything that decides `tinyllm finetune classify`. Loads no numpy."""

from dataclasses import dataclass

from .config import AdaptableConfig

PROBLEMS = ("single-label", "multi-label", "regression")
FREEZE = ("none", "but-last-block", "all")
BALANCE = ("undersample", "weights", "none")


@dataclass(frozen=True)
class ClassifyConfig(AdaptableConfig):
    data: str | None = None
    "Texts with labels: .tsv (label, tab, text), .csv or .jsonl with label and text; by default lines of code or prose."
    dropout: float = 0.2
    "Probability with which an activation is dropped in training."
    problem: str = "single-label"
    "What a label is: one class (single-label), several with | between (multi-label), or a number (regression)."
    balance: str = "undersample"
    "Against classes of unequal size: undersample takes as many of each as the rarest has, weights counts them more."
    freeze: str = "none"
    "What does not learn: none of the model, all but-last-block (and the last layer norm), or all of it."
    lm_weight: float = 0.5
    "Weight of the language model's loss on the same texts, beside that of the labels (GPT-1's auxiliary objective)."
    token_dropout: float = 0.1
    "Probability with which a token of a training text is replaced by a random one."
    n_layer: int = 2
    "Transformer blocks of the small model that is pre-trained where --model names none; so do the next five."
    n_head: int = 4
    "Attention heads in each block."
    n_embd: int = 64
    "Channels: the length of the vector of each position."
    block_size: int = 128
    "Longest sequence, in tokens."
    vocab_size: int = 512
    "Tokens of its vocabulary, byte pairs learned from the training texts."
    pretrain_iters: int = 400
    "Steps in which it learns to write like the training texts."

    def __post_init__(self):
        super().__post_init__()
        for name, choices in (("problem", PROBLEMS), ("freeze", FREEZE), ("balance", BALANCE)):
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        for name in ("n_layer", "n_head", "n_embd", "block_size", "pretrain_iters"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("freeze", self.freeze == "none" or self.tune == "all", f"none with --tune {self.tune}, which "
                      "freezes all of the model")
        self._require("vocab_size", self.vocab_size >= 257, "257 or more: 256 bytes, and the end of a text")
        self._require("lm_weight", 0 <= self.lm_weight < float("inf"), "0 or more")
        self._require("token_dropout", 0 <= self.token_dropout < 1, "from 0 to below 1")
