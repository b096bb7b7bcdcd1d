"""The training loop, from a text to a model that writes like it."""

import math
import time
from dataclasses import dataclass, fields
from pathlib import Path

from ..data import random_batch, split
from ..models import GPT, GPTConfig
from ..optim import AdamW, clip_grad_norm, warmup_cosine
from ..random import dropout_step
from ..tokenizers import CharTokenizer
from .evaluate import evaluate
from .run import save_run

SPLIT = (0.9, 0.1)  # training and validation text, nanoGPT's


@dataclass(frozen=True)
class Progress:
    """One step as it is reported: `val_loss` only where the model was evaluated after it."""

    step: int  # how many have been made
    loss: float  # on the batch of this step, before it
    learning_rate: float
    grad_norm: float
    tokens_per_second: float
    val_loss: float | None = None


def train(config, text, out_dir, report=lambda progress: None):
    """Train a GPT on a text as `config` (a TrainConfig) says and keep it in out_dir; report(Progress) after each step.

    Gives the model and its tokenizer. The folder holds the state of the last evaluation, so stopping early loses
    at most `eval_interval` steps.
    """
    tokenizer = CharTokenizer.train(text)
    train_ids, val_ids = split(tokenizer.encode(text), SPLIT)
    if len(val_ids) <= config.block_size:
        raise ValueError(f"the validation text, the last tenth of {len(text):,} characters, has {len(val_ids)}: too "
                         f"few for a window of --block-size {config.block_size}; give a longer text or a smaller block")
    model = build_model(config, tokenizer.vocab_size)
    optimizer = build_optimizer(config, model)
    Path(out_dir).mkdir(parents=True, exist_ok=True)

    for step in range(config.max_iters):
        start = time.perf_counter()
        ids, targets = random_batch(train_ids, config.block_size, config.batch_size, seed=config.seed, step=step)
        with dropout_step(config.seed, step):
            loss = model.loss(ids, targets)
        loss.backward()
        grad_norm = float(clip_grad_norm(model.parameters(), config.grad_clip or math.inf))
        if not math.isfinite(grad_norm):
            raise ValueError(f"step {step + 1}: the training diverged (loss {loss.item()}, gradient norm {grad_norm}); "
                             f"lower --learning-rate. {out_dir} keeps the state of the last evaluation, if there was")
        lr = learning_rate(config, step)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()

        seconds = time.perf_counter() - start
        done = step + 1
        val_loss = None
        if done % config.eval_interval == 0 or done == config.max_iters:
            val_loss = evaluate(model, val_ids)
            save_run(Path(out_dir), model, tokenizer, config)
        report(Progress(done, loss.item(), lr, grad_norm, ids.size / seconds, val_loss))
    return model, tokenizer


def build_model(config, vocab_size):
    """The GPT of a configuration, with fresh weights."""
    names = {field.name for field in fields(GPTConfig)} - {"vocab_size"}
    options = {name: getattr(config, name) for name in names}
    return GPT(GPTConfig(vocab_size=vocab_size, **options), seed=config.seed, dtype=config.dtype)


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
