"""Where does the first number come from that is not finite?

    with tinyllm.debug.nan():
        loss = model.loss(ids, targets)
        loss.backward()
        optimizer.step()

Inside, every value, gradient and update is looked at as it is made. The first one with a NaN or an infinity raises a
NonFiniteError that names it, whose `.trace` is the recording of that step up to there. Nothing is paid outside.
"""

import math
from contextlib import contextmanager

import numpy as np

from .backend import array_module, is_array, to_numpy
from .nn.module import Parameter
from .observe import MODE, Observer, observe
from .tracing import Trace
from .tracing.places import called_at, made_at


class NonFiniteError(FloatingPointError):
    """trace: the recording of the training step until it came up; its `show()` and its page begin there."""

    def __init__(self, headline, more, trace):
        super().__init__("\n".join([f"first not finite: {headline}", *(f"    {line}" for line in more)]))
        self.trace = trace


@contextmanager
def nan():
    """`with nan():` raises a NonFiniteError as soon as an op, a gradient or an update makes a NaN or an infinity."""
    with observe(_Watch(Trace)), np.errstate(all="ignore"):  # what numpy would warn of is what we look for
        yield


def first_non_finite(run):
    """A sentence on the first thing in run() that is not finite. Keeps no arrays, however large they are."""
    try:
        with observe(_Watch(lambda: Trace(keep=lambda array: None))), np.errstate(all="ignore"):
            run()
    except NonFiniteError as error:
        return str(error).partition("\n")[0]
    return "every number that leads to it is finite"


class _Watch(Observer):
    """Passes all it hears on to a recording, and looks at it. Each training step has a recording of its own."""

    def __init__(self, new_trace):
        self.new_trace, self.trace = new_trace, new_trace()
        self.depth, self.over = 0, False  # how many modules are being called; whether a backward has begun

    def begin(self):
        """Forget the last step where another one begins: a recording holds every array."""
        if self.depth:
            return
        awaits_backward = any(call.output.gradient for call in self.trace.calls)
        if self.over or not (MODE.get().recording or awaits_backward):
            self.trace, self.over = self.new_trace(), False

    def module_entered(self, module):
        self.begin()
        self.depth += 1
        self.trace.module_entered(module)

    def module_left(self, module):
        self.depth -= 1
        self.trace.module_left(module)

    def op_ran(self, op, inputs, options, output, saved):
        self.begin()
        self.trace.op_ran(op, inputs, options, output, saved)
        call = self.trace.calls[-1]
        for x, value in zip(inputs, call.inputs):
            if isinstance(x, Parameter):
                self.look(x.data, f"the weight {value.name}, which {op.__name__} reads{inside(self.trace, call)}")
        what = f"the value {call.output.name}, from {op.__name__}_forward{inside(self.trace, call)}"
        received = {value.name: x.data for x, value in zip(inputs, call.inputs) if value}
        self.look(output.data, what, lambda: explained(call, op.forward, 0, received))

    def backward_ran(self, node, dy, grads):
        self.over, self.node, self.dy = True, node, dy
        self.trace.backward_ran(node, dy, grads)
        if self.trace.steps and self.trace.steps[-1].phase == "seed":
            self.look(dy, f"dL/d{self.trace.steps[-1].value.name}, which backward() was given")

    def gradient_added(self, target, before, share, after):
        self.over = True
        self.trace.gradient_added(target, before, share, after)
        call, name = self.trace.call_of(self.node), self.node.op.__name__
        if call is None:
            self.look(share, f"a gradient from {name}_backward, whose forward ran before the recording began")
            return
        step = self.trace.steps[-1]
        of, where = f"the gradient of {step.value.name}", inside(self.trace, call)
        received = {f"d{call.output.name}": self.dy}

        def more():
            return explained(call, call.op.backward, step.wrt, received)

        self.look(share, f"{of}, from {name}_backward{where}", more)
        self.look(after, f"{of}, summed up with its share number {step.nth}, from {name}_backward{where}", more)

    def gradients_clipped(self, norm, max_norm, scale):
        self.trace.gradients_clipped(norm, max_norm, scale)
        self.look(norm, "the length of all gradients together, though each number of them is finite")

    def parameter_updated(self, parameter, before, state, options):
        self.over = True
        self.trace.parameter_updated(parameter, before, state, options)
        name = self.trace.steps[-1].value.name
        for kind, array in {"": parameter.data, **state}.items():
            self.look(array, f"{kind} of the weight {name} after its update" if kind else f"the weight {name} after "
                      "its update")  # fmt: skip

    def look(self, array, what, more=list):
        """Raise if there is a number in an array that is not finite."""
        bad = odd_of(array)
        if bad:
            self.trace.meta["focus"] = {"step": max(len(self.trace.steps) - 1, 0)}
            raise NonFiniteError(f"{what}: {bad}", more(), self.trace)


def inside(trace, call):
    """ in h.0.attn.c_attn (Linear): the module that called an op, where one did."""
    kind = dict(trace.modules).get(call.scope)
    return f" in {call.scope} ({kind})" if call.scope else f" in {kind}" if kind else ""


def explained(call, function, result, received):
    """Lines on where a number was made: its own line, who called the op, and the arrays that went in."""
    ranges = [f"received {name} {range_of(array)}" for name, array in received.items()]
    return [*made_at(function, result), *called_at(call), *ranges]


def odd_of(array):
    """How many numbers of an array are not finite, and where the first one is; "" where there is none."""
    if not is_array(array):
        return "" if math.isfinite(array) else f"{array}"
    if array.dtype.kind != "f":
        return ""
    odd = ~array_module(array).isfinite(array)
    if not odd.any():
        return ""
    array, odd = to_numpy(array), to_numpy(odd)
    if not array.ndim:
        return f"{array}"
    first = tuple(map(int, np.argwhere(odd)[0]))
    nans = int(np.isnan(array).sum())
    kinds = [f"{count} {kind}" for count, kind in ((nans, "NaN"), (int(odd.sum()) - nans, "infinite")) if count]
    return f"{' and '.join(kinds)} of {array.size} numbers, first [{', '.join(map(str, first))}] = {array[first]}"


def range_of(array):
    """(3, 4) float32, −1.2 … 3e+38: what there is to see of an array in a line."""
    array = to_numpy(array)
    shape = f"{array.shape} {array.dtype}"
    finite = array[np.isfinite(array)]
    return f"{shape}, {finite.min():.4g} … {finite.max():.4g}" if finite.size else f"{shape}, no finite number"
