"""One training step: forward, backward, clip, update."""

import math
import time

from ..backend import to
from ..debug import first_non_finite
from ..optim import warmup_cosine
from ..random import dropout_step
from .progress import Progress
from .state import Diverged


def train_step(state, config, batch):
    """Make one step on `state` with a batch of `batches`, and say what it was like."""
    start = time.perf_counter()
    model, optimizer = state.model, state.optimizer

    def loss_and_norm():
        loss = add_gradients(state, config, batch)
        return loss, float(optimizer.clip(config.grad_clip or math.inf))

    loss, grad_norm = loss_and_norm()
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        model.zero_grad()
        cause = first_non_finite(loss_and_norm)
        raise Diverged(f"step {state.step + 1}: the training diverged (loss {loss}, gradient norm {grad_norm}); lower "
                       f"--learning-rate {config.learning_rate}.\n{cause}")
    lr = learning_rate(config, state.step)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    state.step += 1
    return Progress(state.step, loss, lr, grad_norm, config.tokens_per_step / (time.perf_counter() - start))


def add_gradients(state, config, batch):
    """Forward and backward of a batch, in gradient_accumulation parts; gives its mean loss.

    The loss of the batch is the mean of its parts' losses, so each part gets a share of 1 as its dL/dloss. Windows
    and dropout are those of the whole batch: into how many parts it is cut changes nothing but rounding.
    """
    parts, B = config.gradient_accumulation, config.batch_size
    ids, targets = (tensor.data for tensor in batch)
    losses = []
    for first in range(0, parts * B, B):
        part = slice(first, first + B)
        with dropout_step(config.seed, state.step, first):
            loss = state.model.loss(to(ids[part], config.backend), to(targets[part], config.backend))
        state.optimizer.backward(loss, 1 / parts)
        losses.append(loss.item())
    return sum(losses) / parts


def learning_rate(config, step):
    """Where the schedule stands at a step, counted from 0."""
    options = {name: getattr(config, name) for name in ("learning_rate", "min_lr", "warmup_iters", "max_iters")}
    return warmup_cosine(step, **options)
