"""Instruction tuning: a model learns to answer."""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from ..backend import to
from ..data import DataLoader
from ..generation import Rules, TextStream, stream
from ..models import GPT, GPTConfig
from ..tensor import Tensor
from ..tokenizers import CharTokenizer, named
from ..training.build import build_optimizer
from ..training.state import TrainState
from ..training.task import Task
from .adapted import adapted, save_tuned, tuned_arrays
from .base import load_base
from .batches import EpochBatches
from .chat_template import template_named
from .examples import IGNORED, collate, encode_all, share_of, written
from .packing import packed_loss

SAMPLES, SAMPLE_TOKENS = 4, 60


class InstructionTuning(Task):
    """A GPT learns the answers of Conversations, as an InstructConfig says.

    Where config.model names none, it is a new one.
    """

    command = "finetune instruct"
    mean_over_rows = True

    def __init__(self, config, conversations):
        super().__init__(config)
        self.template = template_named(config.template)
        self.data_sha256 = sha256_of(conversations)
        gpt, self.tokenizer, self.base_sha256 = (
            load_base(config.model, config) if config.model else new_model(config, conversations, self.template)
        )
        self.model = adapted(gpt, config.tune, config)
        self.val, train = split(conversations, config.val_fraction, config.seed)
        how = self.template, self.tokenizer, self.model.block_size
        self.train_examples, self.left_out = encode_all(train, *how, learn_all=config.learn_all)
        self.val_examples, _ = encode_all(self.val, *how)  # how good answers are is measured on answers alone

    def initial_state(self):
        optimizer = build_optimizer(self.config, self.model)
        return TrainState(self.model, optimizer, self.tokenizer, self.data_sha256, base_sha256=self.base_sha256)

    def batches(self, state):
        return example_batches(self.train_examples, self.config, self.batch, state.step)

    def batch(self, examples):
        """[ids, targets, lengths, n]; n (B,): as of `share_of`."""
        ids, targets, lengths = collate(examples)
        n = np.full(len(ids), (targets != IGNORED).sum() / len(ids))
        return list(map(Tensor, (ids, targets, lengths, n)))

    def loss(self, model, ids, targets, lengths, n):
        loss = packed_loss(model, ids, targets, lengths) if self.config.packing else model.loss(ids, targets)
        return loss * share_of((targets != IGNORED).sum(), n), {}

    def validate(self, state):
        return answer_loss(state.model, self.val_examples, self.config.batch_size, self.config.backend), {}

    def sample(self, state):
        return self.answers(state.model)

    def answers(self, model):
        """What the model says now to the first questions that are held out, beside the answers there."""
        texts = []
        for conversation in self.val[:SAMPLES]:
            *asked, expected = conversation.messages
            said = answer(model, self.tokenizer, self.template, asked, self.config.seed)
            texts.append(f"> {asked[-1].content} {asked[-1].input}".rstrip() + f"\n{said.strip()}\n"
                         f"  [expected: {expected.content}]")  # fmt: skip
        return "\n".join(texts)

    def save_model(self, model, folder):
        save_tuned(model, folder, self.config.model)
        self.template.save(folder)

    def best_arrays(self, model):
        return tuned_arrays(model)


def new_model(config, conversations, template):
    """A GPT with fresh weights and the tokenizer that is named; without one it knows the characters of the
    conversations, and those of a keyboard."""
    tokenizer = named(config.tokenizer, config.vocab)
    if tokenizer is None:
        text = "".join(part for c in conversations for part, _ in written(c.messages, template, c.place))
        tokenizer = CharTokenizer.train(text + "\n" + "".join(map(chr, range(32, 127))))
    names = ("n_layer", "n_head", "n_embd", "block_size", "dropout")
    sizes = GPTConfig(vocab_size=tokenizer.vocab_size, **{name: getattr(config, name) for name in names})
    return GPT(sizes, seed=config.seed, dtype=config.dtype).to(config.backend), tokenizer, None


def split(rows, fraction, seed):
    """Rows that are held out, a fraction of all, and the others, both in a random order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    n = max(1, int(fraction * len(rows)))
    if n == len(rows):
        raise ValueError("there is one row alone: one to learn from and another one to measure on are needed")
    shuffled = [rows[i] for i in order]
    return shuffled[:n], shuffled[n:]


def sha256_of(rows):
    """What tells data from other data; rows: Conversations or Pairs."""
    said = json.dumps([asdict(row) | {"place": None} for row in rows], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def example_batches(examples, config, batch, step, size=lambda example: len(example.ids)):
    """What `batch` makes of config.rows examples, step after step without end; they follow from seed and step alone."""
    sampler = EpochBatches([size(example) for example in examples], config.rows, config.seed)
    loader = DataLoader(examples, batch_sampler=sampler, collate_fn=batch)
    loader.load_state_dict(loader.state_dict() | {"batch": step})
    return iter(loader)


def answer_loss(model, examples, batch_size, backend):
    """The mean cross-entropy over all targets of the examples, in nats a token."""
    total = count = 0
    with model.evaluating():
        for first in range(0, len(examples), batch_size):
            ids, targets, _ = collate(examples[first : first + batch_size])
            n = int((targets != IGNORED).sum())
            total += model.loss(to(ids, backend), to(targets, backend)).item() * n
            count += n
    return total / count


def answer(model, tokenizer, template, messages, seed=0, max_new_tokens=SAMPLE_TOKENS, rules=Rules(temperature=0)):
    """What a model answers to messages."""
    ids = np.concatenate([tokenizer.encode(text) for text, _ in template.parts(messages)])[-model.block_size :]
    text = TextStream(tokenizer, [template.stop])
    for step in stream(model, ids, max_new_tokens, rules, seed=seed):
        text.add(int(step.ids[0]))
        if text.ended:
            break
    text.rest()
    return text.text
