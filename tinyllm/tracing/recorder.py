"""The recording of a training step: what the engine did, in the order it did it, as it tells its observers.

    with tinyllm.trace() as t:
        loss = model.loss(ids, targets)
        loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()

Nothing is computed for it and nothing computed again: each array is the engine's own, copied.
"""

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape

import numpy as np

from ..autograd import Op
from ..backend import is_array, to_numpy
from ..display import statistics
from ..files import replace_text
from ..nn.module import Parameter
from ..observe import Observer, observe
from .source import assigned_name, callers


@dataclass(eq=False, repr=False)
class Value:
    """An array that was there: what an op received or made, a parameter, a gradient."""

    id: int
    name: str  # "h.0.attn.c_attn.weight", "qkv", "dx"
    role: str  # input, parameter, activation
    scope: str  # path of the module that made it
    array: np.ndarray
    gradient: bool  # whether it wants one

    def __repr__(self):
        facts = "" if self.array is None else f" {self.array.shape} {self.array.dtype}, {statistics(self.array)}"
        return f"<{self.role} {self.name}{within(self.scope)}{facts}>"


@dataclass(eq=False, repr=False)
class Call:
    """An op that ran."""

    id: int
    op: Op
    scope: str
    inputs: list  # a Value, or None where an optional array was left out
    options: dict
    output: Value
    saved: dict  # {name in the backward's signature: a Value where it is one, else a copy of the array, or what it is}
    places: list  # who called it, from the op outwards: places in source files (see source.py)

    def __repr__(self):
        names = ", ".join("None" if value is None else value.name for value in self.inputs)
        return f"<{self.output.name} = {self.op.__name__}({names}){within(self.scope)}>"


@dataclass(eq=False, repr=False)
class Step:
    """One thing that happened. What it has besides its phase depends on that.

    forward: call    seed: value, after    backward: call, wrt, value, before, share, after, nth
    clip: numbers    update: value, before, after, numbers
    """

    phase: str
    call: Call | None = None
    wrt: int | None = None  # the place of the input among the op's
    value: Value | None = None
    before: np.ndarray | None = None
    share: np.ndarray | None = None
    after: np.ndarray | None = None
    nth: int = 1  # which of the shares of this gradient
    numbers: dict = field(default_factory=dict)

    def __repr__(self):
        name = self.value.name if self.value else "the gradients"
        if self.phase == "forward" and self.call:
            return f"<forward: {repr(self.call)[1:-1]}>"
        if self.phase == "backward":
            return f"<backward: d{name} = {self.call.op.__name__}_backward({', '.join(('dy', *self.call.saved))})>"
        return f"<{self.phase}: {name}>"


class Trace(Observer):
    """What `trace()` gives: calls, values and steps, and (see the package) ways to look at them.

    keep(array): what is kept of each array; a copy, where nothing else is said.
    """

    def __init__(self, keep=None):
        self._keep = keep or copied
        self.values, self.calls, self.steps, self.modules = [], [], [], []
        self._by_tensor, self._by_node, self._kept = {}, {}, []
        self._scopes, self._paths, self._names = [], {}, {}
        self._running = None  # the call whose backward ran last
        self._written = {}  # how many shares each gradient has got
        self.meta, self.text = {}, None  # what whoever records knows besides (see page.py)

    def __repr__(self):
        return f"<trace of {len(self.calls)} ops in {len(self.steps)} steps: look at it with .show() or .to_html(path)>"

    def shares(self, value):
        """How many shares the gradient of a value got in all."""
        return self._written.get(value, 0)

    def name(self, tensor, name):
        """Say what an input is called; else it has the name of the first op's array."""
        self._names[tensor] = name

    def call_of(self, node):
        """The Call that left a Node; None where it ran before the recording began."""
        return self._by_node.get(node)

    # what the engine tells

    def module_entered(self, module):
        if not self._scopes and module not in self._paths:
            self._paths |= {child: path for path, child in module.named_modules()}
            self._names |= {parameter: name for name, parameter in module.named_parameters()}
            self.modules += [(path, type(child).__name__) for path, child in module.named_modules()]
        self._scopes.append(self._paths.get(module, ""))

    def module_left(self, module):
        self._scopes.pop()

    def op_ran(self, op, inputs, options, output, saved):
        scope = self._scopes[-1] if self._scopes else ""
        received = [None if x is None else self._value(x, name) for x, name in zip(inputs, names_of(op, len(inputs)))]
        places = callers()
        made = self._new(output, assigned_name(places) or scope.rpartition(".")[2] or op.__name__, "activation", scope)
        known = {id(x.data): value for x, value in zip((*inputs, output), (*received, made)) if x is not None}
        kept = {name: known.get(id(x)) or self._keep(x) for name, x in zip(saved_names(op), saved)}
        call = Call(len(self.calls), op, scope, received, options, made, kept, places)
        self.calls.append(call)
        if output.node is not None:
            self._by_node[output.node] = call
        self.steps.append(Step("forward", call, value=made, after=made.array))

    def backward_ran(self, node, dy, grads):
        call = self._by_node.get(node)
        self._running = call
        if call is None:  # its forward ran before the recording began
            return
        if call.output not in self._written:  # nobody passed it on: it is where the backward started
            self._written[call.output] = 0
            self.steps.append(Step("seed", value=call.output, after=self._keep(dy)))
        self._inputs = (i for i, source in enumerate(node.inputs) if source is not None)  # as the engine goes on

    def gradient_added(self, target, before, share, after):
        call = self._running
        if call is None:
            return
        wrt = next(self._inputs)
        value = call.inputs[wrt]
        nth = self._written[value] = self._written.get(value, 0) + 1
        before = None if before is None else self._keep(before)
        self.steps.append(Step("backward", call, wrt, value, before, self._keep(share), self._keep(after), nth))

    def gradients_clipped(self, norm, max_norm, scale):
        numbers = {"norm": float(norm), "max_norm": float(max_norm), "scale": float(scale)}
        self.steps.append(Step("clip", numbers=numbers))

    def parameter_updated(self, parameter, before, state, options):
        value = self._value(parameter, "parameter")
        numbers = {name: self._keep(x) for name, x in {**options, **state}.items()}
        after = self._keep(parameter.data)
        self.steps.append(Step("update", value=value, before=self._keep(before), after=after, numbers=numbers))

    # ways to look at it

    def to_json(self):
        """The recording as JSON text. What each field means is said in tinyllm/tracing/schema.json, a JSON Schema."""
        from .export import to_json

        return to_json(self)

    def show(self):
        """Print the walk in the terminal."""
        from .terminal import show

        show(self)

    def to_html(self, path=None):
        """The recording as one web page that needs nothing else; written to `path` if there is one."""
        from .page import to_html

        html = to_html(self)
        if path is not None:
            replace_text(path, html)
        return html

    def _repr_html_(self):
        """The page inside of a notebook."""
        frame = 'style="width: 100%; height: 860px; border: 1px solid #8884; border-radius: 8px"'
        return f'<iframe title="Step through the training step" {frame} srcdoc="{escape(self.to_html())}"></iframe>'

    # names

    def _value(self, tensor, name):
        """The Value of a tensor; one that is new here comes from outside: a parameter or an input."""
        if tensor not in self._by_tensor:
            role = "parameter" if isinstance(tensor, Parameter) else "input"
            self._new(tensor, self._names.get(tensor, name), role, self._scopes[-1] if self._scopes else "")
        return self._by_tensor[tensor]

    def _new(self, tensor, name, role, scope):
        value = Value(len(self.values), name, role, scope, self._keep(tensor.data), tensor.requires_grad)
        self.values.append(value)
        self._by_tensor[tensor] = value  # which keeps the tensor alive, so that nobody else can be taken for it
        return value


@contextmanager
def trace():
    """`with trace() as t:` records every op, gradient, clipping and update inside; t is a Trace."""
    with observe(Trace()) as recording:
        yield recording


def copied(x):
    """A number stays itself, an array is copied to the host."""
    return np.array(to_numpy(x)) if is_array(x) else x


def within(scope):
    return f" in {scope}" if scope else ""


def names_of(op, count):
    """The names of an op's arrays; those of cat and stack are numbered."""
    return [f"{op.names[0]}[{i}]" for i in range(count)] if op.variadic else op.names


def saved_names(op):
    """What the backward calls what the forward saved."""
    return [name for name in inspect.signature(op.backward).parameters if name != "needs"][1:]
