"""The model that a fine-tuning starts from: one that is there, or a small one that learns to write first."""

from dataclasses import replace

import numpy as np

from .. import nn
from ..backend import backend_of, to
from ..data.hub import local_model
from ..data.windows import IGNORED
from ..generation import whole_text
from ..tensor import Tensor
from ..tokenizers import BPETokenizer
from ..tokenizers import load as load_tokenizer
from ..training.build import build_model, build_optimizer
from ..training.config import SAMPLING, TrainConfig
from ..training.state import TrainState, digest
from ..training.task import Task
from .batches import epoch_batches
from .examples import pad
from .loading import load_gpt

END = "<|endoftext|>"


def load_base(name, config):
    """The GPT and the tokenizer of a folder or of a model that was downloaded, with the dropout and the precision of
    a TuneConfig, and the sha256 of its weights."""
    folder = local_model(name)
    model, tokenizer = load_gpt(folder).train(), load_tokenizer(folder)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {tokenizer.vocab_size:,} tokens, the model "
                         f"{model.config.vocab_size:,}; they do not belong together")
    sha256 = digest(model.state_dict())
    set_dropout(model, config.dropout)
    return model.to(config.dtype).to(config.backend), tokenizer, sha256


def set_dropout(model, p):
    """Let every place of a GPT that can drop activations drop them with probability p."""
    model.config = replace(model.config, dropout=p)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p


def encode(tokenizer, texts, where):
    """[ids (T,)] of the texts, each with the end-of-text token where the tokenizer has one; where: names of them."""
    end = [tokenizer.special_tokens[END]] if END in getattr(tokenizer, "special_tokens", {}) else []
    found = []
    for text, name in zip(texts, where):
        try:
            found.append(np.append(tokenizer.encode(text), end).astype(np.int64))
        except ValueError as error:
            error.add_note(f"in {name}")
            raise
    return found


def pretraining_config(config):
    """The TrainConfig with which the small model of a ClassifyConfig learns to write."""
    names = ("n_layer", "n_head", "n_embd", "block_size", "dropout", "seed", "dtype", "backend", "precision", "graph",
             "workers")  # fmt: skip
    return TrainConfig(**{name: getattr(config, name) for name in names}, batch_size=16, learning_rate=2e-3,
                       max_iters=config.pretrain_iters, eval_interval=config.pretrain_iters)  # fmt: skip


class TextPretraining(Task):
    """A small GPT learns to write like some texts, each on its own, in byte pairs learned from them.

    It is done in a folder `base` of the run that it is a part of. train, val: lists of texts; config: a TrainConfig.
    """

    part_of_run = True

    def __init__(self, config, train, val, vocab_size, sha256, command):
        super().__init__(config)
        self.command, self.sha256 = command, sha256
        self.tokenizer = BPETokenizer.train(train, vocab_size, "gpt4", [END])
        self.rows = [encode(self.tokenizer, part, part) for part in (train, val)]
        self.end = self.rows[0][0][-1:]

    def initial_state(self):
        model = build_model(self.config, self.tokenizer.vocab_size)
        return TrainState(model, build_optimizer(self.config, model), self.tokenizer, self.sha256)

    def batches(self, state):
        return epoch_batches(self.rows[0], self.batch, self.config.batch_size, self.config.seed, state.step)

    def batch(self, numbers, part=0):
        """[ids, targets] of some texts, each from its end-of-text token on: what comes first is learned, too."""
        rows = [np.append(self.end, self.rows[part][i])[: self.config.block_size + 1] for i in numbers]
        return [Tensor(pad([row[:-1] for row in rows], 0)), Tensor(pad([row[1:] for row in rows], IGNORED))]

    def validate(self, state):
        total = count = 0
        with state.model.evaluating():
            for first in range(0, len(self.rows[1]), 64):
                ids, targets = self.batch(range(len(self.rows[1]))[first : first + 64], part=1)
                n = int((targets.data != IGNORED).sum())
                place = backend_of(state.model.wte.weight.data)
                total += state.model.loss(to(ids.data, place), to(targets.data, place)).item() * n
                count += n
        return total / count, {}

    def sample(self, state):
        options = {"seed": self.config.seed, "eos_token_id": int(self.end[0]), **SAMPLING}
        return whole_text(state.tokenizer, state.model.generate(self.end, self.config.block_size, **options)[1:])
