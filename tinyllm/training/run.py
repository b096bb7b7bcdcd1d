"""The folder of a run: the model as Hugging Face lays it out, its tokenizer, and how it was made."""

from pathlib import Path

from ..models import GPT
from ..tokenizers import CharTokenizer


def save_run(folder, model, tokenizer, config):
    """Write config.json, model.safetensors, tokenizer.json and config.toml (the TrainConfig)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")


def load_run(folder):
    """The model and the tokenizer of a run's folder."""
    folder = Path(folder)
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a run: it holds no model.safetensors; "
                                "`tinyllm train` makes one")
    model, tokenizer = GPT.from_pretrained(folder), CharTokenizer.load(folder)
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
                         f"the model {model.config.vocab_size}; they are not of one run")
    return model, tokenizer
