"""Where did the first number come from that is not finite?"""

from contextlib import suppress

from ..arguments import describe
from ..backend import array_module
from ..observe import Observer, observe


def first_non_finite(model, run):
    """A sentence on the first operation that makes an inf or a nan while run() does a forward and a backward.

    Each op is looked at when it ran: its weights, then its output, then, on the way back, its gradients.
    """
    search = _Search({parameter: name for name, parameter in model.named_parameters()})
    with observe(search), suppress(_Found):
        run()
    return search.found or "every number of the step itself is finite, only the gradient's length is not"


class _Found(Exception):
    """Nothing that comes after the first one is of interest."""


class _Search(Observer):
    def __init__(self, names):
        self.names, self.found, self.backwards = names, None, {}
        self.last = None  # the weight that was used last: it tells where in the model we are

    def op_ran(self, op, inputs, options, output, saved):
        for x in inputs:
            if x in self.names:
                self.last = self.names[x]
                self.look(x.data, f"the weight {self.last}, which the update of the step before made")
        where = f", at or after {self.last}" if self.last else ""
        call = f"{describe(op, inputs, options)}{where}"
        self.look(output.data, f"the result of {call}")
        if output.node:
            self.backwards[output.node] = call

    def backward_ran(self, node, dy, grads):
        for grad in grads:
            if grad is not None:
                self.look(grad, f"a gradient in the backward of {self.backwards[node]}")

    def gradient_added(self, target, before, share, after):
        self.look(after, f"the sum of the gradients of {self.names.get(target, target)}")

    def look(self, array, what):
        if array.dtype.kind == "f" and not array_module(array).isfinite(array).all():
            self.found = f"first not finite: {what}"
            raise _Found
