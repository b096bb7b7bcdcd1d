"""What a Classifier says about texts."""

from pathlib import Path

import numpy as np

from ..backend import backend_of, to, to_numpy
from ..ops.softmax import softmax_forward
from ..tokenizers import load as load_tokenizer
from ..training.run import BEST
from .adapter_file import WEIGHTS as ADAPTERS
from .adapter_file import load_adapters
from .classifier import Classifier
from .examples import pad
from .loading import base_of, is_adapted
from .lora import merged


def load_classifier(folder, best=False):
    """The Classifier and the tokenizer in the folder of a run; best: as it was when its validation loss was lowest."""
    if is_adapted(folder):
        model = load_adapters(Classifier.of_config(base_of(folder)[0], folder), folder, BEST if best else ADAPTERS)
        return merged(model).eval(), load_tokenizer(Path(folder))
    model = Classifier.from_pretrained(folder, BEST) if best else Classifier.from_pretrained(folder)
    return model, load_tokenizer(Path(folder))


def fit(row, length):
    """The ids of a text that is longer than the model can look at: its beginning, and its last token."""
    return row if len(row) <= length else np.append(row[: length - 1], row[-1])


def predict(model, rows, batch_size=64):
    """logits (N, K) of N texts, given as ids: those of like length together."""
    rows = [fit(row, model.block_size) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    place, found = backend_of(model.transformer.wte.weight.data), {}
    with model.evaluating():
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            ids, last = padded([rows[i] for i in numbers])
            found |= zip(numbers, to_numpy(model(to(ids, place), to(last, place)).data))
    return np.stack([found[i] for i in range(len(rows))])


def padded(rows):
    """ids (B, T), the shorter texts padded with 0, and where each has its last token, (B,)."""
    return pad(rows, 0), np.array([len(row) - 1 for row in rows])


def decide(logits, problem):
    """Which classes the logits say are there: the largest one, or each above 0 (a probability of one half).

    logits (N, K)  ->  (N, K) bool
    """
    if problem == "multi-label":
        return logits > 0
    return np.eye(logits.shape[1], dtype=bool)[logits.argmax(axis=1)]


def say(model, logits):
    """The answer to one text: {"number": …}, or {"label": …, "classes": {name: probability}}, the likeliest first.

    logits (K,)
    """
    if model.problem == "regression":
        return {"number": float(logits[0]) * model.labels["label_std"] + model.labels["label_mean"]}
    names = [model.labels["id2label"][str(i)] for i in range(len(logits))]
    p = softmax_forward(logits)[0] if model.problem == "single-label" else 1 / (1 + np.exp(-logits))
    there = decide(logits[None], model.problem)[0]
    found = [name for name, yes in zip(names, there) if yes]
    label = found[0] if model.problem == "single-label" else found
    return {"label": label, "classes": {names[i]: float(p[i]) for i in np.argsort(-p)}}
