"""Everything that decides `tinyllm finetune instruct`. Loads no numpy."""

from dataclasses import dataclass

from .config import AdaptableConfig


@dataclass(frozen=True)
class InstructConfig(AdaptableConfig):
    bfloat16 = True

    data: str | None = None
    "JSON or JSONL file: instruction/output, messages, conversations, prompt/completion; by default tasks on words."
    template: str = "chat"
    "How a conversation is written: alpaca, chat, chatml, or a JSON file of your own."
    learn_all: bool = False
    "Learn also what was said to the model, and not only its answers."
    packing: bool = False
    "Compute a batch as one long row without padding: the same loss, and less work where lengths differ much."
    batch_size: int = 32
    "Conversations that are computed together."
    max_iters: int = 500
    "Training steps."
    learning_rate: float = 2e-3
    "Highest learning rate, reached after the warm-up."
    val_fraction: float = 0.1
    "Part of the data that is held out."
    tokenizer: str | None = None
    "What a token of a new model is: char (the default), gpt2, cl100k_base, o200k_base, or the folder of a saved one."
    vocab: str | None = None
    "File of the vocabulary that --tokenizer names: a vocab.bpe or a .tiktoken; without it tiktoken downloads it."
    n_layer: int = 2
    "Transformer blocks of the small model that is made where --model names none; so do the next three."
    n_head: int = 4
    "Attention heads in each block."
    n_embd: int = 96
    "Channels: the length of the vector of each position."
    block_size: int = 256
    "Longest conversation, in tokens; what goes beyond it is cut."

    def __post_init__(self):
        super().__post_init__()
        for name in ("n_layer", "n_head", "n_embd", "block_size"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        if self.model and (self.tokenizer or self.vocab):
            raise ValueError(f"--model {self.model} has a tokenizer of its own; leave --tokenizer and --vocab out")
        if self.tune != "all" and not self.model:
            raise ValueError(f"--tune {self.tune} adapts a model that is there; name it with --model")
        self._require("packing", not self.packing or self.tune != "soft-prompt", "left out with --tune soft-prompt")
        self._require("val_fraction", 0 < self.val_fraction < 1, "between 0 and 1")
