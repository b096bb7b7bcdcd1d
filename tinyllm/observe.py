"""What holds here and now: whether ops are recorded for backward, whether kernels run, and who listens.

An Observer hears every op that runs, every gradient that arrives, every clip and every update. Nothing is paid
when nobody listens. The mode belongs to the context (thread, task), so two threads can differ.
"""

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


class Observer:
    """Override what you want to hear. Arrays are the engine's own: look, copy if you keep them, never write."""

    def module_entered(self, module):
        """`module` was called; until `module_left`, what happens belongs to it (or to a module that it calls)."""

    def module_left(self, module):
        """The call of `module` is over, also where it raised."""

    def op_ran(self, op, inputs, options, output, saved):
        """An op made Tensor `output` from Tensors `inputs`; its forward remembered the tuple `saved`."""

    def backward_ran(self, node, dy, grads):
        """The backward of `node` turned the upstream gradient dy into one gradient an input (None: not needed)."""

    def gradient_added(self, target, before, share, after):
        """before + share = after, at a Node or a leaf Tensor; `before` is None for the first share."""

    def gradients_clipped(self, norm, max_norm, scale):
        """All gradients, whose joint length was `norm`, were multiplied by `scale`."""

    def parameter_updated(self, parameter, before, state, options):
        """An optimizer step moved `parameter.data` away from `before`.

        `state` is what the optimizer remembers of it, `options` those of its group: lr, weight_decay, …
        """


@dataclass(frozen=True)
class Mode:
    recording: bool = True
    kernels: bool = os.environ.get("TINYLLM_KERNELS", "on") != "off"  # where some are loaded (see kernels/)
    observers: tuple[Observer, ...] = ()


MODE = ContextVar("tinyllm.mode", default=Mode())


@contextmanager
def _mode(**changes):
    token = MODE.set(replace(MODE.get(), **changes))
    try:
        yield
    finally:
        MODE.reset(token)


def no_grad():
    """`with no_grad():` or `@no_grad()`: ops run without being recorded, so nothing is kept for a backward."""
    return _mode(recording=False)


def plain_ops():
    """`with plain_ops():` or `@plain_ops()`: ops run as they stand in tinyllm/ops/, also where kernels are loaded."""
    return _mode(kernels=False)


@contextmanager
def observe(observer):
    """`with observe(listener):` tells listener (an Observer) what happens inside, which the plain ops do."""
    with _mode(observers=(*MODE.get().observers, observer), kernels=False):
        yield observer
