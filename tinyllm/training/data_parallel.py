"""A training step that several workers make: each takes its share of the sequences, then its part of the update.

Where there are fewer sequences than workers, threads share the rows and heads inside each op instead.
"""

import math
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from ..autograd import gradients
from ..kernels.cpu.share import op_threads, share
from ..optim import FlatAdamW
from ..optim.device import DeviceAdamW
from ..parallel import choose_team, cores
from ..random import dropout_step
from .graph import GPUSteps, tell
from .shares import Shares
from .step import model_loss

LOSS = "loss"


@contextmanager
def workers(config, state, loss_of=model_loss, mean_over_rows=True, why_no_graph=None):
    """Inside, config.workers (all cores, if it is None) work. Gives what `train_step` takes as its team.

    loss_of, mean_over_rows, why_no_graph: as Task.loss and what it says of it. BLAS is held to one thread where workers
    share the work: they would fight for the cores. On a GPU the team is the GPU.
    """
    n = config.workers or cores()
    if isinstance(state.optimizer, DeviceAdamW):
        with GPUSteps(state, config, loss_of, why_no_graph) as steps:
            yield steps
    elif not isinstance(state.optimizer, FlatAdamW):  # plain ops: the threads of BLAS are all there is to share
        if config.backend != "numpy" and config.graph == "on":
            tell("plain ops cannot be captured; there are kernels for float32 and bfloat16, unless TINYLLM_KERNELS=off")
        with threadpool_limits(config.workers):
            yield None
    elif not (share_rows(config) and mean_over_rows):
        with threadpool_limits(1), op_threads(n), state.optimizer.spread_over(share_parts(state.optimizer, n)):
            yield None
    else:
        with threadpool_limits(1), choose_team(n) as team, state.optimizer.moved_to(team.empty) as g:
            yield DataParallel(team, state, config, loss_of, g)


def share_rows(config):
    """Whether there are several workers, and a sequence for each."""
    return 1 < (config.workers or cores()) <= config.batch_size


def share_parts(optimizer, n):
    """The parts of an update, for threads."""

    def update(stretches):
        share(lambda start, stop: [optimizer.update_part(stretches, rank, n) for rank in range(start, stop)], n)

    return update


class DataParallel:
    """The vectors of the optimizer, seen by a whole team.

    Gradients are added up in one of them, `g`, of which there is only one copy: see shares.py.
    """

    def __init__(self, team, state, config, loss_of, g):
        self.team, self.model, self.optimizer, self.config = team, state.model, state.optimizer, config
        self.loss_of, self.g = loss_of, g
        self.g.array[:] = 0
        self.added = team.empty(len(g.views) * team.size, np.int64).reshape(-1, team.size)
        team.start({"gradients": self._gradients, "update": self._update})

    # what rank 0 asks for

    def loss_and_norm(self, step, batch):
        """Forward and backward of the whole batch: its mean loss and metrics, and the length of its gradient."""
        self.added[:] = 0
        results = self.team.run("gradients", step, *(tensor.data for tensor in batch))
        for (p, view), added in zip(self.g.views.items(), self.added):
            if added.any():
                p.grad = view
        parts, square_sums = zip(*results)
        norm = math.sqrt(math.fsum(square_sums))
        self.optimizer.scale = min(1.0, (self.config.grad_clip or math.inf) / (norm + 1e-6))
        said = [pair for part in parts for pair in part]
        mean = {name: math.fsum(weight * numbers[name] for weight, numbers in said) for name in said[0][1]}
        return mean.pop(LOSS), mean, norm

    def step(self):
        with self.optimizer.spread_over(lambda stretches: self.team.run("update", stretches)):
            self.optimizer.step()

    # what every rank does

    def _gradients(self, rank, step, *arrays):
        parts, B = self.config.gradient_accumulation, self.config.batch_size
        start, stop = B * rank // self.team.size, B * (rank + 1) // self.team.size
        shares = Shares(self.team, rank, self.g, self.added)
        said, weight = [], (stop - start) / (B * parts)
        for first in range(0, parts * B, B):
            rows = slice(first + start, first + stop)
            with dropout_step(self.config.seed, step, rows.start):
                loss, metrics = self.loss_of(self.model, *(array[rows] for array in arrays))
            gradients(loss, np.asarray(weight, loss.dtype), shares)
            said.append((weight, {**metrics, LOSS: loss.item()}))
        shares.finish()
        return said, self.optimizer.square_sum(*self.optimizer.part(rank, self.team.size))

    def _update(self, rank, stretches):
        self.optimizer.update_part(stretches, rank, self.team.size)
