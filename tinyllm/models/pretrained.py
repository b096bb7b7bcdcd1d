"""A GPT on disk: config.json and model.safetensors, as Hugging Face's GPT-2 has them."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as serialize

from ..backend import to_numpy
from ..files import replace_file, replace_text

WEIGHTS = "model.safetensors"

# our name -> Hugging Face's; the three without one there are kept under ours
NAMES = {
    "vocab_size": "vocab_size",
    "block_size": "n_positions",
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "dropout": "resid_pdrop",
    "tie_weights": "tie_word_embeddings",
    "bias": "bias",
    "qkv_bias": "qkv_bias",
}

FIXED = {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}  # what our GPT computes


def save(model, directory):
    """Write config.json and model.safetensors; a folder that is there keeps its other files."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    config = {theirs: getattr(model.config, ours) for ours, theirs in NAMES.items()}
    config |= {"embd_pdrop": model.config.dropout, "attn_pdrop": model.config.dropout}
    config |= {"architectures": ["GPT2LMHeadModel"], **FIXED}
    replace_text(directory / "config.json", json.dumps(config, indent=2) + "\n")
    save_arrays(directory / WEIGHTS, model.state_dict(), {"format": "pt"})


def save_arrays(path, arrays, metadata):
    """Write {name: array} to a safetensors file; one entry of metadata at most, since several have no fixed order."""
    content = serialize({name: to_numpy(array) for name, array in arrays.items()}, metadata)
    replace_file(path, lambda aside: aside.write_bytes(content))


def load(directory, weights=WEIGHTS):
    """What `save` wrote: the fields of a GPTConfig, and the arrays of the file `weights`."""
    directory = Path(directory)
    try:
        found = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{directory / 'config.json'} is not JSON: {error}") from error
    if not isinstance(found, dict) or not set(NAMES.values()) <= set(found):
        missing = sorted(set(NAMES.values()) - set(found)) if isinstance(found, dict) else NAMES.values()
        raise ValueError(f"{directory / 'config.json'} is not the configuration of a GPT: no {', '.join(missing)}")
    for name, value in FIXED.items():
        if found.get(name, value) != value:
            raise ValueError(f"{directory / 'config.json'}: {name} is {found[name]!r}; this GPT has {value!r} alone")
    return {ours: found[theirs] for ours, theirs in NAMES.items()}, load_arrays(directory / weights)


def load_arrays(path):
    """{name: array} of a safetensors file, which must be whole."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error}): it was cut short or changed; take another checkpoint, or "
                         "train it again") from error
