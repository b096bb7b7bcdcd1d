"""What a reward model and DPO share: pairs of answers, split, encoded, in batches."""

import numpy as np

from ..backend import read_numbers, to
from ..training.build import build_optimizer
from ..training.state import TrainState
from ..training.task import Task
from .adapted import adapted, save_tuned, tuned_arrays
from .base import load_base
from .chat_template import template_of
from .instruct import example_batches, sha256_of, split
from .preferences import encode_pairs, pair_batch


class PreferenceTask(Task):
    """A model learns from Pairs; a subclass says what it is and what its loss is.

    It is made of config.model, a run of `finetune instruct`, and pairs are written with the template of that run.
    """

    mean_over_rows = True

    def __init__(self, config, pairs):
        super().__init__(config)
        if not config.model:
            raise ValueError("there is no model to start from; give --model, as the folder of a run that `tinyllm "
                             "finetune instruct` made")
        self.template, self.data_sha256 = template_of(config.model), sha256_of(pairs)
        gpt, self.tokenizer, self.base_sha256 = load_base(config.model, config)
        self.model = adapted(gpt, config.tune, config)
        self.val_pairs, train = split(pairs, config.val_fraction, config.seed)
        how = self.template, self.tokenizer, self.model.block_size
        self.train_rows, self.left_out = encode_pairs(train, *how)
        self.val_rows, _ = encode_pairs(self.val_pairs, *how)

    def initial_state(self):
        optimizer = build_optimizer(self.config, self.model)
        return TrainState(self.model, optimizer, self.tokenizer, self.data_sha256, base_sha256=self.base_sha256)

    def batches(self, state):
        return example_batches(self.train_rows, self.config, self.batch, state.step, size=len)

    def batch(self, pairs):
        return pair_batch(pairs, self.config.dtype)

    def validate(self, state):
        """The mean loss and the mean metrics over the pairs that are held out."""
        found, size = [], self.config.batch_size
        for first in range(0, len(self.val_rows), size):
            rows = self.val_rows[first : first + size]
            arrays = [to(tensor.data, self.config.backend) for tensor in self.batch(rows)]
            with state.model.evaluating():
                loss, said = self.loss(state.model, *arrays)
            found.append([len(rows), loss.item(), dict(zip(said, read_numbers(said.values())))])
        counts = [n for n, _, _ in found]
        names = found[0][2]
        metrics = {f"val_{name}": float(np.average([said[name] for *_, said in found], weights=counts))
                   for name in names}  # fmt: skip
        return float(np.average([loss for _, loss, _ in found], weights=counts)), metrics

    def save_model(self, model, folder):
        save_tuned(model, folder, self.config.model)
        self.template.save(folder)

    def best_arrays(self, model):
        return tuned_arrays(model)
