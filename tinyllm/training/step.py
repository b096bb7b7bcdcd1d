"""One training step: forward, backward, clip, update."""

import math
import time

from ..backend import backend_of, check_ids, is_array, number, to
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

    lr = learning_rate(config, state.step)
    for group in optimizer.param_groups:
        group["lr"] = lr
    if hasattr(team, "update"):  # of a GPU, where a step is one piece, and no number of it is looked at on the way
        return team.update(batch)
    loss, metrics, grad_norm = team.loss_and_norm(state.step, batch) if team else loss_and_norm()
    if not is_array(loss):
        check_finite(state.step + 1, loss, grad_norm, config, cause)
    (team or optimizer).step()
    optimizer.zero_grad()
    return loss, metrics, grad_norm


def add_gradients(state, config, batch, loss_of=model_loss):
    """Forward and backward of a batch, in gradient_accumulation parts; gives its mean loss, and mean metrics.

    The loss of the batch is the mean of its parts' losses, so each part gets a share of 1 as its dL/dloss. Windows
    and dropout are those of the whole batch: into how many parts it is cut changes nothing but rounding.
    """
    arrays = sent([tensor.data for tensor in batch], config.backend, state.model.config.vocab_size)
    return accumulate(state, config, arrays, loss_of)


def accumulate(state, config, arrays, loss_of, counters=None):
    """`add_gradients` of a batch that is where the model is; counters: those of the dropout masks of each part."""
    parts, B = config.gradient_accumulation, config.batch_size
    losses, metrics = [], []
    for part in range(parts):
        first = part * B
        with dropout_step(config.seed, state.step, first, counters if counters is None else counters[part]):
            loss, said = loss_of(state.model, *(array[first : first + B] for array in arrays))
        state.optimizer.backward(loss, 1 / parts)
        losses.append(number(loss.data))
        metrics.append(said)
    return sum(losses) / parts, {name: sum(said[name] for said in metrics) / parts for name in metrics[0]}


def sent(arrays, backend, vocab_size):
    """A batch on a backend, looked at before it leaves the host."""
    if backend != "numpy":  # where nobody would look at it
        check_batch(arrays, vocab_size)
    return [to(array, backend) for array in arrays]


def check_batch(arrays, vocab_size):
    """Raise where an id or a target of a batch, its integers (B, T), is no token; a target may be ignored."""
    ids = arrays[0]
    for array in arrays:
        if backend_of(array) == "numpy" and array.dtype.kind in "iu" and array.shape == ids.shape:
            check_ids(array if array is ids else array[array != -100], vocab_size, "token id")


def learning_rate(config, step):
    """Where the schedule stands at a step, counted from 0."""
    options = {name: getattr(config, name) for name in ("learning_rate", "min_lr", "warmup_iters", "max_iters")}
    return warmup_cosine(step, **options)
