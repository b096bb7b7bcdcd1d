"""The weights of a Hugging Face folder under the names of our parameters: from one file or from several, every key
accounted for.
"""

import re
from pathlib import Path

import numpy as np

from ..files import read_json
from .tensor_file import read_tensors

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # constants that older files hold; h.0.attn.c_attn.bias is none


def read_weights(directory, weights=WEIGHTS, tied=False):
    """{name of our parameter: array}, views of the files; tied: the output layer is the token embedding."""
    arrays, origin = {}, {}
    for path, held in _read_files(Path(directory), weights):
        for theirs, array in held.items():
            name = theirs.removeprefix("transformer.")
            if MASK.fullmatch(name):
                continue
            if name in arrays:
                raise ValueError(f"{path} holds {theirs}, which is {origin[name]} once more; take one of them out")
            _check_numbers(path, theirs, array)
            arrays[name], origin[name] = array, theirs
    if tied and "lm_head.weight" in arrays and "wte.weight" in arrays:
        if not np.array_equal(arrays.pop("lm_head.weight"), arrays["wte.weight"]):
            raise ValueError(f"{directory}: lm_head.weight is not wte.weight, but the configuration ties them; set "
                             "tie_word_embeddings to false in config.json, or take lm_head.weight out")
    return arrays


def _read_files(directory, weights):
    """(path, its {name: array}) of each file that holds a part of the model."""
    refuse_pickle(directory / weights)
    if (directory / weights).is_file():
        yield directory / weights, read_tensors(directory / weights)
        return
    if weights != WEIGHTS or not (directory / INDEX).is_file():
        for path in sorted(directory.glob("*")):
            refuse_pickle(path)
        raise FileNotFoundError(f"{directory / weights}: no such file; give a folder with config.json and {WEIGHTS}, "
                                "as save_pretrained writes it")
    for file, expected in _read_index(directory / INDEX).items():
        held = read_tensors(directory / file)
        if odd := sorted(expected ^ set(held)):
            where = f"{INDEX} alone" if odd[0] in expected else f"{file} alone"
            raise ValueError(f"{directory}: {INDEX} and {file} do not fit: {odd[0]} is in {where}"
                             + (f"; and {len(odd) - 1} more" if len(odd) > 1 else ""))
        yield directory / file, held


def _read_index(path):
    """{file: the names of its arrays}"""
    index = read_json(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise ValueError(f'{path} must be {{"weight_map": {{name of an array: name of its file}}}}')
    files = {}
    for name, file in places.items():
        if Path(file).name != file or not file.endswith(".safetensors") or not file.isprintable() or len(file) > 200:
            raise ValueError(f"{path}: {file[:80]!r} is not the name of a .safetensors file in this folder")
        if not (path.parent / file).is_file():
            raise FileNotFoundError(f"{path.parent / file}: no such file, but {path.name} names it; fetch it, too")
        files.setdefault(file, set()).add(name)
    return files


def _check_numbers(path, name, array):
    if array.dtype.kind != "f":
        raise ValueError(f"{path}: {name} is {array.dtype}, must be float16, bfloat16, float32 or float64")
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):  # one that is NaN gives NaN
        raise ValueError(f"{path}: {name} holds NaN or infinity; the training that wrote it diverged, or the file was "
                         "changed. Take another checkpoint")


def refuse_pickle(path):
    """Raise where a path is that of a pickle. Nothing is ever unpickled."""
    if path.suffix in PICKLES and path.is_file():
        raise ValueError(
            f"{path} is a pickle: to read it is to run whatever program its author put into it, so tinyllm reads none. "
            "If you trust it, convert it once, where torch is installed:\n"
            'python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in '
            f"torch.load('{path.name}', map_location='cpu', weights_only=True).items()}}, '{WEIGHTS}')\""
        )
