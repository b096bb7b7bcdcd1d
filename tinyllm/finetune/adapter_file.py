"""Adapters on disk, as Hugging Face's peft has them: adapter_config.json and adapter_model.safetensors.

LoRA is its LORA and a soft prompt its PROMPT_TUNING, both to be read by it, but for q, k and v that were adapted apart:
lora_A then has three times as many rows. BOTTLENECK is ours, in the same form.
"""

import json
from pathlib import Path

from .. import nn
from ..files import read_json, replace_text
from ..models import GPT
from ..models.pretrained import save_arrays
from ..models.tensor_file import read_tensors
from .bottleneck import Bottleneck, add_bottlenecks
from .lora import LoRA, adapters, features, place
from .soft_prompt import SoftPrompt

CONFIG, WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
PROMPT = "prompt_embeddings"
KINDS = ("LORA", "BOTTLENECK", "PROMPT_TUNING")


def kind_of(model):
    """Which of KINDS a model is adapted by, or None."""
    kinds = dict(zip((LoRA, Bottleneck, SoftPrompt), KINDS))
    return next((kinds[type(module)] for module in model.modules() if type(module) in kinds), None)


def prefix(model):
    """What stands before our paths in peft's names: a GPT is the `transformer` of Hugging Face's models."""
    return PREFIX + ("transformer." if isinstance(model, GPT) else "")


def learned(model):
    """{peft's name: parameter} of all that learns: the adapters, and a new head beside them."""
    gpt = model if isinstance(model, GPT) else model.transformer
    prompt = gpt.prompt if isinstance(gpt, SoftPrompt) else None
    learns = [(path, p) for path, p in model.named_parameters() if p.requires_grad]
    return {PROMPT if p is prompt else prefix(model) + path: p for path, p in learns}


def adapter_arrays(model):
    """{peft's name: array} of the same."""
    return {name: p.data for name, p in learned(model).items()}


def save_adapters(model, folder, base=None):
    """Write the two files; base: where the model comes from, for who looks for it."""
    kind = kind_of(model)
    if kind is None:
        raise ValueError("the model has no adapters; add_lora puts some beside its layers")
    config = {
        "peft_type": kind,
        "task_type": "CAUSAL_LM" if isinstance(model, GPT) else "SEQ_CLS",
        "base_model_name_or_path": base and str(base),
        "inference_mode": True,
        "modules_to_save": ["score"] if f"{prefix(model)}score.weight" in learned(model) else None,
        **DESCRIBED[kind](model),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    replace_text(Path(folder, CONFIG), json.dumps(config, indent=2) + "\n")
    save_arrays(Path(folder, WEIGHTS), adapter_arrays(model), {"format": "pt"})


def _lora_config(model):
    first, start = adapters(model)[0][1], prefix(model).removeprefix(PREFIX)
    return {
        "r": first.rank,
        "lora_alpha": first.scale * first.rank,
        "lora_dropout": first.dropout.p,
        "target_modules": [start + path for path, _ in adapters(model)],
        "fan_in_fan_out": isinstance(first.base_layer, nn.Conv1D),
        "bias": "none",
    }


def _bottleneck_config(model):
    return {"size": next(len(m.down.bias) for m in model.modules() if isinstance(m, Bottleneck))}


def _prompt_config(model):
    n, C = learned(model)[PROMPT].shape
    return {"num_virtual_tokens": n, "token_dim": C, "num_layers": model.config.n_layer,
            "num_attention_heads": model.config.n_head, "num_transformer_submodules": 1}  # fmt: skip


DESCRIBED = dict(zip(KINDS, (_lora_config, _bottleneck_config, _prompt_config)))


def read_adapter_config(folder):
    """What adapter_config.json says."""
    path = Path(folder, CONFIG)
    config = read_json(path)
    if not isinstance(config, dict) or config.get("peft_type") not in KINDS:
        raise ValueError(f"{path} is not the configuration of adapters; its peft_type is none of {', '.join(KINDS)}")
    return config


def load_adapters(model, folder, weights=WEIGHTS):
    """The model, frozen, with the adapters of a folder, which learn. Peft's files are read, too.

    A GPT or a Classifier is changed in place, but for a soft prompt: then what comes back stands in its place.
    """
    config, arrays = read_adapter_config(folder), read_tensors(Path(folder, weights))
    model.requires_grad_(False)
    try:
        model = MADE[config["peft_type"]](model, config, arrays)
        for name in config.get("modules_to_save") or ():
            place(model, name)[2].requires_grad_()
        _take(learned(model), arrays)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds adapters for another model: {error}") from error
    return model


def _take(parameters, arrays):
    """Give each parameter the array of its name."""
    if odd := [name for name in arrays if name not in parameters]:
        raise ValueError(f"{odd[0]} is none of this one's")
    for name, p in parameters.items():
        if name not in arrays or arrays[name].shape != p.shape:
            there = "missing" if name not in arrays else f"{arrays[name].shape} there"
            raise ValueError(f"{name.removeprefix(PREFIX)} is {there}, and {p.shape} here")
        p.data = arrays[name].astype(p.dtype)


def _with_lora(model, config, arrays):
    start, ends = prefix(model), (".lora_A.weight", ".lora_B.weight")
    layers = {path for path, layer in model.named_modules() if isinstance(layer, (nn.Linear, nn.Conv1D))}
    for name in sorted(arrays):
        if name.startswith(start) and name.endswith(ends[0]):
            path = name.removeprefix(start).removesuffix(ends[0])
            if path not in layers:
                raise ValueError(f"{path} is no linear layer of this one")
            A, B = (arrays[start + path + end] for end in ends)
            parent, last, layer = place(model, path)
            inputs, outputs = features(layer)
            if A.shape[1:] != (inputs,) or len(B) != outputs or len(A) % B.shape[1]:
                raise ValueError(f"{path} is ({A.shape[1]}, {len(B)}) there, and ({inputs}, {outputs}) here")
            how = config["lora_alpha"], config.get("lora_dropout", 0.0), len(A) // B.shape[1]
            setattr(parent, last, LoRA(layer, B.shape[1], *how))
            for part in layer.parameters():
                part.requires_grad = False
    return model


def _with_bottlenecks(model, config, arrays):
    add_bottlenecks(model if isinstance(model, GPT) else model.transformer, config["size"])
    return model


def _with_prompt(model, config, arrays):
    if isinstance(model, GPT):
        return SoftPrompt(model, config["num_virtual_tokens"])
    model.transformer = SoftPrompt(model.transformer, config["num_virtual_tokens"])
    return model


MADE = dict(zip(KINDS, (_with_lora, _with_bottlenecks, _with_prompt)))
