"""A GPT that learns by adapters, where a TuneConfig asks for them, and as a plain GPT again."""

from ..models import GPT
from .adapter_file import save_adapters
from .lora import adapters, add_configured, merge, unmerge

BASE = ".base_layer."  # in the path of a weight that has an adapter beside it


def with_adapters(gpt, config):
    """The GPT, with LoRA adapters that learn in its place where the config gives them a rank."""
    if config.lora_rank:
        add_configured(gpt, config)
    return gpt


def plain(gpt):
    """A GPT without adapters that computes the same: itself where it has none, else a copy with them merged."""
    if not adapters(gpt):
        return gpt
    copy = GPT(gpt.config, dtype=str(gpt.wte.weight.dtype))
    merge(gpt)
    arrays = {name.replace(BASE, "."): p.data for name, p in gpt.named_parameters() if ".lora_" not in name}
    copy.load_state_dict(arrays)
    unmerge(gpt)
    return copy


def save_adapted(gpt, folder, base):
    """Write the model as a plain one, to be used, and its adapters alone where it has some; base: what they adapt."""
    plain(gpt).save_pretrained(folder)
    if adapters(gpt):
        save_adapters(gpt, folder, base)
