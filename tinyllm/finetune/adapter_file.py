"""Adapters on disk, as Hugging Face's peft has them: adapter_config.json and adapter_model.safetensors.

Of q, k and v that were adapted apart, lora_A has three times as many rows, which peft does not read.
"""

import json
from pathlib import Path

from .. import nn
from ..files import read_json, replace_text
from ..models import GPT
from ..models.pretrained import save_arrays
from ..models.tensor_file import read_tensors
from .lora import LoRA, adapters, features, place

CONFIG, WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."


def prefix(model):
    """What stands before our paths in peft's names: a GPT is the `transformer` of Hugging Face's models."""
    return PREFIX + ("transformer." if isinstance(model, GPT) else "")


def adapter_arrays(model):
    """{peft's name: array} of all adapters, and of what learns beside them."""
    start, found = prefix(model), {}
    for path, adapter in adapters(model):
        found[f"{start}{path}.lora_A.weight"] = adapter.lora_A.weight.data
        found[f"{start}{path}.lora_B.weight"] = adapter.lora_B.weight.data
    return found | {start + path: p.data for path, p in heads(model)}


def heads(model):
    """[(path, parameter)] of what learns beside the adapters: a new head."""
    inside = {p for _, adapter in adapters(model) for p in adapter.parameters()}
    return [(path, p) for path, p in model.named_parameters() if p.requires_grad and p not in inside]


def save_adapters(model, folder, base=None):
    """Write the two files; base: where the model comes from, for who looks for it."""
    found = adapters(model)
    if not found:
        raise ValueError("the model has no adapters; add_lora puts some beside its layers")
    first, start = found[0][1], prefix(model).removeprefix(PREFIX)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if isinstance(model, GPT) else "SEQ_CLS",
        "base_model_name_or_path": base and str(base),
        "r": first.rank,
        "lora_alpha": first.scale * first.rank,
        "lora_dropout": first.dropout.p,
        "target_modules": [start + path for path, _ in found],
        "fan_in_fan_out": isinstance(first.base_layer, nn.Conv1D),
        "modules_to_save": sorted({path.rpartition(".")[0] for path, _ in heads(model)}) or None,
        "bias": "none",
        "inference_mode": True,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    replace_text(Path(folder, CONFIG), json.dumps(config, indent=2) + "\n")
    save_arrays(Path(folder, WEIGHTS), adapter_arrays(model), {"format": "pt"})


def load_adapters(model, folder, weights=WEIGHTS):
    """Put the adapters of a folder beside the layers of a model, which is frozen. Peft's files are read, too."""
    path = Path(folder, CONFIG)
    config, arrays, start = read_json(path), read_tensors(Path(folder, weights)), prefix(model)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise ValueError(f"{path} is not the configuration of LoRA adapters; its peft_type is not LORA")
    ends = ".lora_A.weight", ".lora_B.weight"
    kept = {f"{start}{name}.weight" for name in config.get("modules_to_save") or ()}
    own = dict(model.named_parameters())
    if odd := [name for name in arrays if not name.startswith(start)
               or not name.endswith(ends) and (name not in kept or name.removeprefix(start) not in own)]:  # fmt: skip
        raise ValueError(f"{folder} holds adapters for another model: {odd[0]} is none of this one's")
    layers = {path for path, layer in model.named_modules() if isinstance(layer, (nn.Linear, nn.Conv1D))}
    found = {}
    for name in sorted(arrays):
        if name.endswith(ends[0]):
            path = name.removeprefix(start).removesuffix(ends[0])
            found[path] = _adapter(folder, model, path, layers, config, *(arrays[start + path + end] for end in ends))
    model.requires_grad_(False)
    for name in kept & set(arrays):
        own[name.removeprefix(start)].data = arrays[name].astype(own[name.removeprefix(start)].dtype)
    for path, adapter in found.items():
        parent, name, _ = place(model, path)
        setattr(parent, name, adapter)
        for weight in (adapter.lora_A.weight, adapter.lora_B.weight):
            weight.requires_grad = True
    return list(found)


def _adapter(folder, model, path, layers, config, A, B):
    where = f"{folder} holds adapters for another model: {path}"
    if path not in layers:
        raise ValueError(f"{where} is no linear layer of this one")
    layer = place(model, path)[2]
    inputs, outputs = features(layer)
    if A.shape[1:] != (inputs,) or len(B) != outputs or len(A) % B.shape[1]:
        raise ValueError(f"{where} is ({A.shape[1]}, {len(B)}) there, and ({inputs}, {outputs}) here")
    adapter = LoRA(layer, B.shape[1], config["lora_alpha"], config.get("lora_dropout", 0.0), len(A) // B.shape[1])
    for linear, array in ((adapter.lora_A, A), (adapter.lora_B, B)):
        linear.weight.data = array.astype(linear.weight.dtype)
    return adapter
