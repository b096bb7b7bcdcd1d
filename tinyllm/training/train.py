"""The training loop, from a text to a model that writes like it."""

import hashlib
import math
import time
from dataclasses import dataclass, fields, replace

import numpy as np
from threadpoolctl import threadpool_limits

from ..backend import to
from ..data import random_batch, split
from ..models import GPT, GPTConfig
from ..optim import AdamW, clip_grad_norm, warmup_cosine
from ..random import dropout_step
from ..tokenizers import CharTokenizer
from .config import SAMPLING
from .diagnose import first_non_finite
from .evaluate import evaluate
from .progress import Progress
from .run import Run
from .state import Diverged, TrainState

SPLIT = (0.9, 0.1)  # training and validation text, nanoGPT's
SAMPLE_TOKENS = 300


def train(config, corpus, out_dir, report=lambda progress: None, should_stop=lambda: False, resume=False):
    """Train a GPT on a Corpus as `config` (a TrainConfig) says, and give its TrainState.

    Everything is kept in the folder out_dir (run.py says what is there), with a checkpoint at each evaluation. After
    each step report(Progress) is called, and should_stop(): where it is true, the run ends with a checkpoint.
    resume: go on from the checkpoint in out_dir; what comes out is what it would have been without the stop.
    """
    with threadpool_limits(config.workers), Run(out_dir) as run:
        state = initial_state(config, corpus)
        run.resume(state, config) if resume else run.begin(state, config)
        while state.step < config.max_iters:
            progress = train_step(state, config, corpus)
            evaluated = state.step % config.eval_interval == 0 or state.step == config.max_iters
            if evaluated:
                progress = look_at(progress, state, config, corpus)
            run.log(progress)
            stop = should_stop()
            if evaluated or stop:
                run.save(state)
            report(progress)
            if stop:
                break
        run.draw()
    return state


def train_step(state, config, corpus):
    """Forward, backward, clip, update: one step, and what it was like."""
    start = time.perf_counter()
    model, optimizer = state.model, state.optimizer
    loss = add_gradients(state, config, corpus)
    grad_norm = float(clip_grad_norm(model.parameters(), config.grad_clip or math.inf))
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        model.zero_grad()
        cause = first_non_finite(model, lambda: add_gradients(state, config, corpus))
        raise Diverged(f"step {state.step + 1}: the training diverged (loss {loss}, gradient norm {grad_norm}); lower "
                       f"--learning-rate {config.learning_rate}.\n{cause}")
    lr = learning_rate(config, state.step)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    state.step += 1
    return Progress(state.step, loss, lr, grad_norm, config.tokens_per_step / (time.perf_counter() - start))


def add_gradients(state, config, corpus):
    """Forward and backward of the batch of the next step, in gradient_accumulation parts; gives its mean loss.

    The loss of the batch is the mean of its parts' losses, so each part gets a share of 1 as its dL/dloss. Windows
    and dropout are those of the whole batch: into how many parts it is cut changes nothing but rounding.
    """
    parts, B = config.gradient_accumulation, config.batch_size
    ids, targets = random_batch(corpus.train_ids, config.block_size, parts * B, seed=config.seed, step=state.step)
    losses = []
    for first in range(0, parts * B, B):
        part = slice(first, first + B)
        with dropout_step(config.seed, state.step, first):
            loss = state.model.loss(to(ids[part], config.backend), to(targets[part], config.backend))
        loss.backward(1 / parts)
        losses.append(loss.item())
    return sum(losses) / parts


def look_at(progress, state, config, corpus):
    """The same Progress with validation loss and sample; `state` remembers the best."""
    model = state.model
    val_loss = evaluate(model, corpus.val_ids, config.batch_size)
    if not math.isfinite(val_loss):
        cause = first_non_finite(model, lambda: evaluate(model, corpus.val_ids, config.batch_size))
        raise Diverged(f"step {state.step}: the training diverged (validation loss {val_loss}); lower --learning-rate "
                       f"{config.learning_rate}.\n{cause}")
    if state.best_val_loss is None or val_loss < state.best_val_loss:
        state.best_val_loss, state.best_step = val_loss, state.step
    ids = model.generate(corpus.prompt, SAMPLE_TOKENS, seed=config.seed, **SAMPLING)
    return replace(progress, val_loss=val_loss, sample=state.tokenizer.decode(ids))


@dataclass(frozen=True)
class Corpus:
    """A text as a training sees it."""

    tokenizer: CharTokenizer
    train_ids: np.ndarray
    val_ids: np.ndarray
    prompt: np.ndarray  # the samples go on from here: the beginning of the text
    text_sha256: str

    @classmethod
    def of(cls, text, block_size):
        tokenizer = CharTokenizer.train(text)
        ids = tokenizer.encode(text)
        train_ids, val_ids = split(ids, SPLIT)
        if len(val_ids) <= block_size:
            raise ValueError(f"the validation text, the last tenth of {len(text):,} characters, has {len(val_ids)}: "
                             f"too few for a window of --block-size {block_size}; give a longer text, or a smaller "
                             "block")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return cls(tokenizer, train_ids, val_ids, ids[: min(block_size, 64)], sha256)


def initial_state(config, corpus):
    """A model with fresh weights and its optimizer, before the first step."""
    model = build_model(config, corpus.tokenizer.vocab_size)
    return TrainState(model, build_optimizer(config, model), corpus.tokenizer, corpus.text_sha256)


def build_model(config, vocab_size):
    """The GPT of a configuration, with fresh weights."""
    return GPT(model_config(config, vocab_size), seed=config.seed, dtype=config.dtype).to(config.backend)


def model_config(config, vocab_size):
    """The part of a TrainConfig that says what the model is."""
    names = {field.name for field in fields(GPTConfig)} - {"vocab_size"}
    return GPTConfig(vocab_size=vocab_size, **{name: getattr(config, name) for name in names})


def build_optimizer(config, model):
    """AdamW that decays matrices and embeddings; biases and norms have nothing to gain from being small."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))


def learning_rate(config, step):
    """Where the schedule stands at a step, counted from 0."""
    options = {name: getattr(config, name) for name in ("learning_rate", "min_lr", "warmup_iters", "max_iters")}
    return warmup_cosine(step, **options)
