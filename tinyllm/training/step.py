"""One training step: forward, backward, clip, update."""

import math
import time

from ..backend import ids_to, is_array, number, to
from ..debug import first_non_finite
from ..optim import warmup_cosine
from ..random import dropout_step
from .progress import Progress
from .readout import check_finite


def model_loss(model, *arrays):
    """model.loss of a batch, and nothing to be written down beside it."""
    return model.loss(*arrays), {}


def train_step(state, config, batch, loss_of=model_loss, team=None):
    """Make one step on `state` with a batch, and say what it was like; loss_of: as Task.loss; team: of `workers`.

    Nothing waits for a GPU: there the loss and the length of the gradient are arrays still (see readout.py).
    """
    start = time.perf_counter()
    loss, metrics, grad_norm = update(state, config, batch, loss_of, team)
    state.step += 1
    tokens = batch[0].data.size
    rate = tokens / (time.perf_counter() - start)
    lr = state.optimizer.param_groups[0]["lr"]
    return Progress(state.step, loss, lr, grad_norm, rate, metrics=metrics, tokens=tokens)


def update(state, config, batch, loss_of, team=None):
    """Move the parameters once: the batch's loss, its metrics, and the length of the gradient before clipping."""
    model, optimizer = state.model, state.optimizer

    def loss_and_norm():
        loss, metrics = add_gradients(state, config, batch, loss_of)
        return loss, metrics, number(optimizer.clip(config.grad_clip or math.inf))

    def cause():
        model.zero_grad()
        return first_non_finite(loss_and_norm)

    loss, metrics, grad_norm = team.loss_and_norm(state.step, batch) if team else loss_and_norm()
    if not is_array(loss):
        check_finite(state.step + 1, loss, grad_norm, config, cause)
    lr = learning_rate(config, state.step)
    for group in optimizer.param_groups:
        group["lr"] = lr
    (team or optimizer).step()
    optimizer.zero_grad()
    return loss, metrics, grad_norm


def add_gradients(state, config, batch, loss_of=model_loss):
    """Forward and backward of a batch, in gradient_accumulation parts; gives its mean loss, and mean metrics.

    The loss of the batch is the mean of its parts' losses, so each part gets a share of 1 as its dL/dloss. Windows
    and dropout are those of the whole batch: into how many parts it is cut changes nothing but rounding.
    """
    parts, B = config.gradient_accumulation, config.batch_size
    arrays = sent([tensor.data for tensor in batch], config.backend, state.model.config.vocab_size)
    losses, metrics = [], []
    for first in range(0, parts * B, B):
        with dropout_step(config.seed, state.step, first):
            loss, said = loss_of(state.model, *(array[first : first + B] for array in arrays))
        state.optimizer.backward(loss, 1 / parts)
        losses.append(number(loss.data))
        metrics.append(said)
    return sum(losses) / parts, {name: sum(said[name] for said in metrics) / parts for name in metrics[0]}


def sent(arrays, backend, vocab_size):
    """A batch on a backend. Its ids and targets, the integers (B, T), are looked at before they leave the host."""
    ids = arrays[0]
    return [
        ids_to(array, backend, vocab_size, ignored=None if array is ids else -100)
        if array.dtype.kind in "iu" and array.shape == ids.shape else to(array, backend)
        for array in arrays
    ]  # fmt: skip


def learning_rate(config, step):
    """Where the schedule stands at a step, counted from 0."""
    options = {name: getattr(config, name) for name in ("learning_rate", "min_lr", "warmup_iters", "max_iters")}
    return warmup_cosine(step, **options)
