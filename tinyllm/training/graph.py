"""Training steps on a GPU: each kernel started by itself at first, then all of them at once, as one CUDA graph.

To start the 300 kernels of a step takes Python longer than a small model takes the GPU. So a step is captured and then
replayed: the same kernels on the same addresses. What changes from step to step, the batch, rates and the counters of
the dropout masks, lies in arrays that the host writes before.
"""

import logging
import math

from ..backend import array_module, is_array
from ..kernels.cuda.graph import Lane
from ..kernels.cuda.memory import Feed, Upload, kind
from ..nn import Dropout
from ..observe import MODE
from ..random import SITES, mask_counters
from .step import accumulate, check_batch, sent

LOG = logging.getLogger("tinyllm")
WARM_UP = 3  # steps before one is captured
NUMBERS = 64  # of a step that are read later: its loss, the length of its gradient, its metrics


class GPUSteps:
    """`with GPUSteps(…) as steps:` what is done on the GPU is done in order, on a stream of its own.

    why_not: a sentence on why no step is captured, known beforehand, or found later; the log tells it once.
    """

    def __init__(self, state, config, loss_of, why_not=None):
        self.state, self.config, self.loss_of, self.why_not = state, config, loss_of, None
        if config.graph == "off":
            self.why_not = "--graph off"
        self.lane, self.feed, self.graph = Lane(), None, None
        self.warm = 0  # steps made that are like the one to capture
        self.moved = set()  # the parameters that a step moves
        self.said, self.later = {}, []  # the metrics of a step; the names of those that are read later
        if why_not and not self.why_not:
            self.refuse(why_not)

    def __enter__(self):
        self.lane.__enter__()
        self.numbers = array_module(self.state.optimizer.params[0].data).zeros(NUMBERS, "float32")
        drops = any(module.p for module in self.state.model.modules() if isinstance(module, Dropout))
        shape = (self.config.gradient_accumulation, SITES, 2)
        self.counters = Upload(shape, "uint64") if drops else None
        return self

    def __exit__(self, *error):
        if self.feed:
            self.feed.close()
        self.lane.__exit__(*error)

    def refuse(self, reason):
        """No step is captured from now on."""
        self.why_not = reason
        tell(reason)

    def update(self, batch):
        """Move the parameters once: the batch's loss, its metrics, and the length of the gradient before clipping.

        They are arrays, but for what was known beforehand: nothing waits for the GPU.
        """
        config, optimizer = self.config, self.state.optimizer
        optimizer.adopt()  # what was loaded since the last step is where the kernels look for it
        arrays = [tensor.data for tensor in batch]
        if self.counters:
            firsts = range(0, config.gradient_accumulation * config.batch_size, config.batch_size)
            self.counters.write([mask_counters(config.seed, self.state.step, first) for first in firsts])
        if self.fits(arrays):
            check_batch(arrays, self.state.model.config.vocab_size)
            self.feed.send(arrays)
            self.go()
        else:
            self.eager(sent(arrays, config.backend, self.state.model.config.vocab_size))
        optimizer.zero_grad()
        numbers = self.numbers.copy()  # the next step writes them anew
        said = {name: numbers[i] for i, name in enumerate(self.later, 2)}
        return numbers[0], self.said | said, numbers[1]

    def fits(self, arrays):
        """Whether a batch is like those that are captured; the first one decides what they are like."""
        self.feed = self.feed or Feed(arrays)
        if self.feed.kind == kind(arrays):
            return True
        if not self.why_not:
            self.refuse(f"a batch of {kind(arrays)} came after one of {self.feed.kind}")
        return False

    def go(self):
        """A step with the batch that was sent."""
        if MODE.get().observers and not self.why_not:
            self.refuse("somebody looks at every number")
        if self.warm == WARM_UP and not self.graph and not self.why_not:
            self.capture()
        if self.graph:
            self.replay()
        else:
            with self.lane.memory():
                self.eager(self.feed.arrays)
            self.warm += not self.why_not

    def eager(self, arrays):
        optimizer = self.state.optimizer
        loss, metrics = self.gradients(arrays, self.counters and self.counters.array)
        norm = optimizer.clip(self.max_norm)
        self.moved = optimizer.moved()
        self.note(loss, norm, metrics)
        optimizer.step()

    def capture(self):
        try:
            self.graph = self.lane.capture(self.kernels)
        except Exception as error:  # whatever it is that cannot be captured, kernel by kernel it works
            self.refuse(f"{type(error).__name__}: {error}".partition("\n")[0])
        self.state.optimizer.zero_grad()

    def kernels(self):
        """What `eager` starts on the GPU, and nothing that the host does beside it."""
        optimizer = self.state.optimizer
        no_masks = [()] * self.config.gradient_accumulation
        loss, metrics = self.gradients(self.feed.arrays, self.counters.array if self.counters else no_masks)
        if optimizer.moved() != self.moved:
            raise RuntimeError("it would move other parameters than the one before")
        self.note(loss, optimizer.measure(), metrics)
        optimizer.move()

    def replay(self):
        optimizer = self.state.optimizer
        optimizer.write(self.max_norm, self.moved)
        self.graph.launch()
        optimizer.counted(self.moved)

    @property
    def max_norm(self):
        return self.config.grad_clip or math.inf

    def gradients(self, arrays, counters):
        return accumulate(self.state, self.config, arrays, self.loss_of, counters)

    def note(self, loss, norm, metrics):
        """Put the numbers of a step where they are read later."""
        self.later = [name for name, value in metrics.items() if is_array(value)]
        self.said = metrics | dict.fromkeys(self.later)
        for i, value in enumerate([loss, norm, *map(metrics.get, self.later)]):
            self.numbers[i] = value


def tell(why_not):
    LOG.warning("the kernels of a training step are started one by one, and not as one CUDA graph: %s", why_not)
