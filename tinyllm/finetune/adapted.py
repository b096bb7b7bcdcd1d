"""A model that is adapted: it stays as it is, and what is put beside it learns (--tune).

lora.py, bottleneck.py and soft_prompt.py are the ways; of a run that goes one of them, adapters alone are kept.
"""

import copy

from ..models import GPT
from ..models.pretrained import save_config
from .adapter_file import adapter_arrays, kind_of, save_adapters
from .bottleneck import add_bottlenecks
from .lora import add_configured
from .soft_prompt import SoftPrompt


def adapted(gpt, way, config):
    """The GPT as it learns by a way of WAYS, with the sizes that an AdapterConfig says."""
    if way == "lora":
        add_configured(gpt, config)
    elif way == "bottleneck":
        add_bottlenecks(gpt, config.bottleneck_size, config.seed)
    elif way == "soft-prompt":
        return SoftPrompt(gpt, config.prompt_length, config.seed)
    return gpt


def frozen_copy(model):
    """The same model once more, which learns nothing. What does not learn in the one either is there once for both."""
    shared = {id(p): p for p in model.parameters() if not p.requires_grad}
    return copy.deepcopy(model, shared).requires_grad_(False).eval()


def save_tuned(model, folder, base):
    """Write a GPT or a Classifier or, of an adapted one, config.json and the adapters; base: what they adapt."""
    if kind_of(model) is None:
        model.save_pretrained(folder)
        return
    save_config(model, folder) if isinstance(model, GPT) else model.save_config(folder)
    save_adapters(model, folder, base)


def tuned_arrays(model):
    """{name: array} of what `save_tuned` writes."""
    return model.state_dict() if kind_of(model) is None else adapter_arrays(model)
