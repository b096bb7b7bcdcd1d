"""A GPT that judges a text: a head reads the last token, the only one that has seen all of it.

On disk it is Hugging Face's GPT2ForSequenceClassification.
"""

import json
from pathlib import Path

from .. import nn, ops
from ..backend import array_module, backend_of
from ..files import read_json, replace_text
from ..methods import Tensor
from ..models import GPT
from ..models.pretrained import save_arrays, save_config
from ..models.weights import WEIGHTS, read_weights
from ..random import draw_from


class Classifier(nn.Module):
    """logits = score(x at the last token of each text), x being what the GPT's own output layer reads

    What stands behind the last token is padding, and cannot be seen from it: attention looks back alone.
    problem: "single-label" (the classes exclude each other), "multi-label" (each is there or not) or "regression".

    ids (B, T) integers  last (B,) integers  ->  logits (B, K)
    """

    def __init__(self, gpt, n_outputs, problem="single-label", seed=0):
        self.problem, self.n_outputs = problem, n_outputs
        self.transformer = gpt
        with draw_from(seed):
            weight = nn.init.normal((n_outputs, gpt.config.n_embd), std=0.02)
        self.score = nn.Linear(gpt.config.n_embd, n_outputs, bias=False, weight=weight)
        self.score.to(gpt.wte.weight.dtype).to(backend_of(gpt.wte.weight.data))
        self.labels = {}  # what config.json says about them

    @property
    def config(self):
        return self.transformer.config

    @property
    def block_size(self):
        return self.transformer.block_size

    def forward(self, ids, last):
        return self.judge(self.transformer.hidden(ids), last)

    def judge(self, x, last):
        """x (B, T, C)  last (B,) integers  ->  logits (B, K)"""
        last = last.data if isinstance(last, Tensor) else last
        rows = array_module(last).arange(len(last))
        return self.score(x[rows, last])  # (B, C) -> (B, K)

    def loss(self, ids, last, targets, weights, next_ids=None, lm_weight=0.0):
        """mean over texts of weight · loss of the label + lm_weight · mean loss of the tokens of the text

        The loss of a class is its cross-entropy, of several at once the mean of theirs (binary), of a number the
        squared error. The second term keeps the model from forgetting the language it judges (Radford et al. 2018).

        ids (B, T) integers  last (B,) integers  targets (B,) or (B, K)  weights (B,)  next_ids (B, T) integers
        """
        x = self.transformer.hidden(ids)
        losses = self.losses(self.judge(x, last), targets) * weights  # (B,)
        if lm_weight:
            logits = self.transformer.lm_head(x)  # (B, T, V)
            of_tokens = ops.cross_entropy(logits.transpose(1, 2), next_ids, reduction="none")  # (B, T), padding: 0
            xp = array_module(last)
            losses = losses + of_tokens.sum(axis=1) * (lm_weight / xp.maximum(last, 1)).astype(x.dtype)
        return losses.mean()

    def losses(self, logits, targets):
        """That of each text.

        logits (B, K)  targets (B,) integers, or (B, K)  ->  losses (B,)
        """
        if self.problem == "single-label":
            return ops.cross_entropy(logits, targets, reduction="none")
        loss = ops.mse_loss if self.problem == "regression" else ops.binary_cross_entropy_with_logits
        return loss(logits, targets, reduction="none").mean(axis=1)

    def save_pretrained(self, directory):
        """Write config.json and model.safetensors, as Hugging Face's GPT2ForSequenceClassification has them."""
        self.save_config(directory)
        save_arrays(Path(directory, WEIGHTS), self.state_dict(), {"format": "pt"})

    def save_config(self, directory):
        """The same without the weights."""
        save_config(self.transformer, directory)
        path = Path(directory, "config.json")
        config = read_json(path) | {"architectures": ["GPT2ForSequenceClassification"], **self.labels}
        config |= {"num_labels": self.n_outputs, "problem_type": PROBLEM_TYPES[self.problem]}
        replace_text(path, json.dumps(config, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_pretrained(cls, directory, weights=WEIGHTS):
        """What `save_pretrained` wrote, in evaluation mode."""
        gpt = GPT.from_pretrained(directory, weights, beside=("score.weight",))
        model = cls.of_config(gpt, directory)
        array = read_weights(directory, weights)["score.weight"]
        model.score.weight.data = array.astype(model.score.weight.dtype)
        return model.eval()

    @classmethod
    def of_config(cls, gpt, directory, seed=0):
        """A GPT with a new head, of the kind that config.json in a folder says."""
        config = read_json(Path(directory, "config.json"))
        problem = {theirs: ours for ours, theirs in PROBLEM_TYPES.items()}.get(config.get("problem_type"))
        if problem is None:
            raise ValueError(f"{directory} is not a classifier: its config.json names no problem_type; "
                             "`tinyllm finetune classify` and `tinyllm finetune reward` make one")
        model = cls(gpt, config["num_labels"], problem, seed)
        model.labels = {name: config[name] for name in LABELS if name in config}
        return model


PROBLEM_TYPES = {  # Hugging Face's names
    "single-label": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}
LABELS = ("id2label", "label2id", "label_mean", "label_std", "pad_token_id")
