"""A model learns a second text. How much of the first does it forget, and what helps?

    nothing     all of it learns the new text
    replay      some of each batch is old text
    freezing    only the last block learns
    lora        only adapters learn; so with bottleneck and soft-prompt
    ewc         what the old text needs is held by springs (fisher.py)
"""

from dataclasses import replace

import numpy as np

from ..data import WindowDataset
from ..tensor import Tensor
from ..training.batches import batches
from ..training.build import build_optimizer
from ..training.config import TrainConfig
from ..training.evaluate import evaluate
from ..training.state import TrainState
from ..training.task import Task
from ..training.train import Pretraining
from .adapted import adapted, save_tuned, tuned_arrays
from .base import load_base
from .fisher import fisher, penalty
from .freeze import freeze

COMMAND = "finetune forgetting"
MEASURED = 10_000  # tokens at most of each text on which a model is measured


def as_it_learns(gpt, method, config):
    """The GPT as a method lets it learn."""
    if method == "freezing":
        return freeze(gpt, "but-last-block")
    return adapted(gpt, method, config) if method in config.ways else gpt


class OldTask(Pretraining):
    """The small model of a run learns the old text, in the folder `base` there."""

    command, part_of_run = COMMAND, True

    def __init__(self, config, corpus):
        names = ("n_layer", "n_head", "n_embd", "block_size", "dropout", "seed", "dtype", "backend", "precision",
                 "graph", "workers")  # fmt: skip
        steps = config.pretrain_iters
        super().__init__(TrainConfig(**{name: getattr(config, name) for name in names}, batch_size=16,
                                     learning_rate=2e-3, max_iters=steps, eval_interval=steps), corpus)  # fmt: skip


class NewTask(Task):
    """The model in the folder `base`, which knows the old Corpus, learns the new one by a method of METHODS."""

    command, part_of_run, mean_over_rows = COMMAND, True, True

    def __init__(self, config, method, base, old, new):
        super().__init__(config)
        self.method, self.base, self.old, self.new = method, base, old, new
        self.model, self.tokenizer, self.base_sha256 = load_base(base, config)
        self.model = as_it_learns(self.model, method, config)
        if method == "ewc":
            windows = WindowDataset(old.train_ids, config.block_size, stride=1)
            starts = np.random.default_rng(config.seed).integers(len(windows), size=config.fisher_windows)
            self.anchor = self.model.state_dict()
            self.information = fisher(self.model, [windows[i][0] for i in starts], config.seed)

    def initial_state(self):
        optimizer = build_optimizer(self.config, self.model)
        sha256 = self.new.text_sha256
        return TrainState(self.model, optimizer, self.tokenizer, sha256, base_sha256=self.base_sha256)

    def batches(self, state):
        config = replace(self.config, block_size=min(self.config.block_size, state.model.block_size))
        new = batches(self.new.train_ids, config, state.step)
        if self.method != "replay":
            return new
        old = batches(self.old.train_ids, config, state.step)
        n = max(1, round(self.config.replay * self.config.batch_size))
        is_old = (np.arange(self.config.rows) % self.config.batch_size < n)[:, None]
        return ([Tensor(np.where(is_old, a.data, b.data)) for a, b in zip(*pair)] for pair in zip(old, new))

    def loss(self, model, *arrays):
        loss = model.loss(*arrays)
        if self.method == "ewc":
            loss = loss + penalty(model, self.information, self.anchor, self.config.ewc_lambda)
        return loss, {}

    def validate(self, state):
        return self.measure(state.model, self.new), {"old_val_loss": self.measure(state.model, self.old)}

    def measure(self, model, corpus):
        """The loss on the validation part of a text."""
        return evaluate(model, corpus.val_ids[:MEASURED], self.config.batch_size)

    def save_model(self, model, folder):
        save_tuned(model, folder, self.base)

    def best_arrays(self, model):
        return tuned_arrays(model)
