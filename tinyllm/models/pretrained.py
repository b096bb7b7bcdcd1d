"""A GPT on disk: config.json and model.safetensors, as Hugging Face's GPT-2 has them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save as serialize

from ..backend import to_numpy
from ..files import read_json, replace_file, replace_text
from .weights import WEIGHTS

# our name -> Hugging Face's, and what it is where the file does not say; it has no bias and qkv_bias, they are ours
NAMES = {
    "vocab_size": ("vocab_size",),
    "block_size": ("n_positions",),
    "n_layer": ("n_layer",),
    "n_head": ("n_head",),
    "n_embd": ("n_embd",),
    "dropout": ("resid_pdrop", 0.1),  # ours is one for all; embd_pdrop and attn_pdrop are mostly the same
    "tie_weights": ("tie_word_embeddings", True),
    "bias": ("bias", True),
    "qkv_bias": ("qkv_bias", None),
}

FIXED = {  # what our GPT computes; the first is what we write
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def save(model, directory):
    """Write config.json, model.safetensors and, where the model has one, generation_config.json.

    A folder that is there keeps its other files.
    """
    save_config(model, directory)
    save_arrays(Path(directory, WEIGHTS), model.state_dict(), {"format": "pt"})


def save_config(model, directory):
    """The same without the weights."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    config = {names[0]: getattr(model.config, ours) for ours, names in NAMES.items()}
    config |= {"embd_pdrop": model.config.dropout, "attn_pdrop": model.config.dropout}
    config |= {"architectures": ["GPT2LMHeadModel"], **{name: values[0] for name, values in FIXED.items()}}
    config |= {name: model.generation_config[name] for name in SPECIAL if name in model.generation_config}
    replace_text(directory / "config.json", json.dumps(config, indent=2) + "\n")
    if model.generation_config:
        replace_text(directory / "generation_config.json", json.dumps(model.generation_config, indent=2) + "\n")


def save_arrays(path, arrays, metadata):
    """Write {name: array} to a safetensors file; one entry of metadata at most, since several have no fixed order."""
    content = serialize({name: to_numpy(array) for name, array in arrays.items()}, metadata)
    replace_file(path, lambda aside: aside.write_bytes(content))


def save_npz(path, arrays):
    """Write {name: array} to a file that `numpy.load` opens."""

    def write(aside):
        with open(aside, "wb") as file:
            np.savez(file, **{name: to_numpy(array) for name, array in arrays.items()})

    replace_file(path, write)


def read_config(directory):
    """The fields of a GPTConfig, and what the folder says about generating: {"eos_token_id": 50256, …}"""
    path = Path(directory, "config.json")
    found = read_json(path)
    required = [names[0] for names in NAMES.values() if len(names) == 1]
    missing = [name for name in required if not isinstance(found, dict) or name not in found]
    if missing:
        raise ValueError(f"{path} is not the configuration of a GPT: no {', '.join(missing)}")
    for name, values in FIXED.items():
        if found.get(name, values[0]) not in values:
            raise ValueError(f"{path}: {name} is {str(found[name])[:80]!r}; this GPT has {values[0]!r} alone")
    inner, C = found.get("n_inner"), found["n_embd"]
    if inner is not None and isinstance(C, int) and inner != 4 * C:
        raise ValueError(f"{path}: n_inner is {str(inner)[:80]}; this GPT has 4 · n_embd alone")
    return {ours: found.get(*names) for ours, names in NAMES.items()}, _generation_config(path, found)


def _generation_config(path, config):
    path = path.with_name("generation_config.json")
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} must be a table of options, not {str(found)[:80]}")
    return {name: config[name] for name in SPECIAL if config.get(name) is not None} | found
