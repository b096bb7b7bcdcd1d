"""Fine-tuning for classification, and for regression: a text in, a label out."""

import numpy as np

from ..data.windows import IGNORED
from ..random import generator
from ..tensor import Tensor
from ..training.build import build_optimizer
from ..training.state import TrainState
from ..training.task import Task
from .adapted import adapted, save_tuned, tuned_arrays
from .base import encode, load_base
from .batches import epoch_batches
from .classifier import Classifier
from .freeze import freeze
from .lora import add_configured
from .metrics import Scores
from .predict import decide, fit, padded, predict
from .targets import Targets


class Classification(Task):
    """A Classifier on the model in folder `base` learns the labels of a Split, as a ClassifyConfig says."""

    command = "finetune classify"
    mean_over_rows = True

    def __init__(self, config, split, base):
        super().__init__(config)
        self.split, self.base = split, base
        gpt, self.tokenizer, self.base_sha256 = load_base(base, config)
        self.targets = Targets(split, config.problem)
        self.model = build_classifier(gpt, self.targets.size, config)
        self.model.labels = self.targets.described(config.problem)
        parts = {"train": split.train, "val": split.val, "test": split.test}
        self.ids = {name: self._ids(part) for name, part in parts.items()}

    def _ids(self, examples):
        rows = encode(self.tokenizer, [e.text for e in examples], [f"row {e.row}" for e in examples])
        return [fit(row, self.model.block_size) for row in rows]

    def initial_state(self):
        optimizer = build_optimizer(self.config, self.model)
        return TrainState(self.model, optimizer, self.tokenizer, self.split.sha256, base_sha256=self.base_sha256)

    def batches(self, state):
        rows = self.ids["train"]
        return epoch_batches(rows, self.training_batch, self.config.rows, self.config.seed, state.step)

    def training_batch(self, numbers):
        """[ids, last, targets, weights, next ids] of some training texts, for Classifier.loss."""
        ids, last = padded([self.ids["train"][i] for i in numbers])
        next_ids = np.full_like(ids, IGNORED)
        for row, n in zip(range(len(ids)), last):
            next_ids[row, :n] = ids[row, 1 : n + 1]
        rng, positions = generator(), np.arange(ids.shape[1])
        dropped = (rng.random(ids.shape) < self.config.token_dropout) & (positions < last[:, None])
        ids = np.where(dropped, rng.integers(self.tokenizer.vocab_size, size=ids.shape), ids)
        examples = [self.split.train[i] for i in numbers]
        weights = self.targets.weights(examples, self.config.balance)
        dtype = self.config.dtype
        arrays = ids, last, self.targets(examples, dtype), weights.astype(dtype), next_ids
        return list(map(Tensor, arrays))

    def save_model(self, model, folder):
        save_tuned(model, folder, self.config.model)

    def best_arrays(self, model):
        return tuned_arrays(model)

    def loss(self, model, *arrays):
        return model.loss(*arrays, lm_weight=self.config.lm_weight), {}

    def validate(self, state):
        loss, logits = self.judge(state.model, "val")
        metrics = {f"val_{name}": value for name, value in self.measure(logits, "val").items()}
        if state.step == self.config.max_iters:
            _, logits = self.judge(state.model, "test")
            metrics |= {f"test_{name}": value for name, value in self.measure(logits, "test").items()}
        return loss, metrics

    def judge(self, model, part):
        """The mean loss of a part of the split, and its logits (N, K)."""
        examples, rows = getattr(self.split, part), self.ids[part]
        logits = predict(model, rows)
        targets = self.targets(examples, logits.dtype)
        with model.evaluating():
            losses = model.losses(Tensor(logits), Tensor(targets)).numpy()
        return float(np.mean(losses)), logits

    def measure(self, logits, part):
        """{name: number} of how good the logits of a part of the split are."""
        examples = getattr(self.split, part)
        if self.config.problem == "regression":
            truth = np.array([e.label for e in examples])
            errors = self.targets.numbers(logits) - truth
            spread = np.square(truth - truth.mean()).sum()
            return {"mae": float(np.abs(errors).mean()), "r2": float(1 - np.square(errors).sum() / (spread or 1.0))}
        scores = self.scores(logits, part)
        means = {name: float(getattr(scores, name).mean()) for name in ("precision", "recall", "f1")}
        return {"accuracy": scores.accuracy, **means}

    def scores(self, logits, part):
        """The Scores of the logits of a part of the split, where labels are classes."""
        truth = self.targets.present(getattr(self.split, part))
        return Scores(truth, decide(logits, self.config.problem))

    def test(self, model):
        """The Scores of a model on the test part, where labels are classes."""
        return self.scores(self.judge(model, "test")[1], "test")


def build_classifier(gpt, n_outputs, config):
    """A GPT with a new head; what does not learn, as a ClassifyConfig says, is frozen."""
    how = n_outputs, config.problem, config.seed
    if config.tune != "lora":
        return Classifier(adapted(freeze(gpt, config.freeze), config.tune, config), *how)
    model = Classifier(gpt, *how)
    if "score" not in add_configured(model, config):  # its patterns may name the head, too
        model.score.requires_grad_()  # nothing knows yet what it is to say
    return model
