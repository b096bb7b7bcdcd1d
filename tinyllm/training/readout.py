"""When the numbers of a training are read.

On the CPU they are there with the step. A GPU is behind: the CPU hands it work and goes on, and to read a loss is to
wait until the GPU has come so far. So there the numbers of several steps wait for each other, and are copied at once.
"""

import math
import time
from dataclasses import replace

from ..backend import is_array, read_numbers
from .state import Diverged

READ_EVERY = 10  # steps of a GPU
MOVED_ON = "the weights have moved on since; --debug nan stops at the first number that is not finite"


class Readout:
    """Holds each Progress until its numbers are read: at once on the CPU, then all together on a GPU."""

    def __init__(self, config):
        self.config, self.steps, self.since = config, [], time.perf_counter()

    def add(self, progress):
        self.steps.append(progress)

    @property
    def due(self):
        return len(self.steps) >= (READ_EVERY if is_array(self.steps[-1].loss) else 1)

    def read(self):
        """The steps since the last `take`, their numbers read; Diverged where one of a GPU is not finite."""
        if is_array(self.steps[-1].loss):
            numbers = iter(read_numbers([x for p in self.steps for x in (p.loss, p.grad_norm, *p.metrics.values())]))
            rate = sum(p.tokens for p in self.steps) / (time.perf_counter() - self.since)  # now the GPU is there
            self.steps = [
                replace(p, loss=next(numbers), grad_norm=next(numbers), tokens_per_second=rate,
                        metrics={name: next(numbers) for name in p.metrics})
                for p in self.steps
            ]  # fmt: skip
            for p in self.steps:
                check_finite(p.step, p.loss, p.grad_norm, self.config, lambda: MOVED_ON)
        return self.steps

    def take(self):
        """`read`, and the next steps begin."""
        steps, self.steps = self.read(), []
        return steps

    def go_on(self):
        """What was done since is no part of the next steps."""
        self.since = time.perf_counter()


def check_finite(step, loss, grad_norm, config, cause):
    """Raise where a loss or the length of a gradient is not finite; cause() gives a sentence on why."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise Diverged(f"step {step}: the training diverged (loss {loss}, gradient norm {grad_norm}); lower "
                       f"--learning-rate {config.learning_rate}.\n{cause()}")
