"""The engine: an op that ran leaves a Node, and `gradients` walks the nodes from the newest to the oldest.

    y = f(x)          forward:   y, saved = f_forward(x)        a Node keeps `saved`
    dx = dL/dx        backward:  dx = f_backward(dy, *saved)    dy = dL/dy, the sum over everyone who used y

That is all of backpropagation: each op knows its own derivative, the engine passes dy along and adds up.
Gradients of gradients are out of scope: a backward is plain array code that is not itself recorded.
"""

import heapq
import inspect
from collections.abc import Callable
from functools import cached_property
from itertools import count
from typing import NamedTuple

from .arguments import NUMBERS, as_floats, describe, tensors_of
from .backend import array_module, backend_of, dtype_name, is_array, is_float
from .observe import MODE
from .places import Place, place_of
from .rounding import rounded_pair
from .tensor import Tensor, as_array

OPS = {}  # every op there is, by name
_clock = count()


def op(forward, backward, discrete=()):
    """Join a forward with its backward. `discrete` names the arrays of integers or booleans: they have no gradient."""
    joined = Op(forward, backward, discrete)
    OPS[joined.__name__] = joined
    return joined


class Op:
    """A differentiable function of tensors: `y = layer_norm(x, weight, bias, eps=1e-5)`.

    Arrays come first, then options, by place or by name. numpy arrays and Python numbers are taken for constants.
    """

    def __init__(self, forward, backward, discrete):
        self.forward, self.backward, self.discrete = forward, backward, frozenset(discrete)
        self.__name__ = forward.__name__.removesuffix("_forward")
        self.__doc__, self.__module__ = forward.__doc__, forward.__module__
        self.__signature__ = inspect.signature(forward)
        parameters = self.__signature__.parameters.values()
        arrays = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.option_names = frozenset(self.options)
        self.names = tuple(p.name for p in arrays)
        self.optional = frozenset(p.name for p in arrays if p.default is None)
        self.variadic = arrays[-1].kind is inspect.Parameter.VAR_POSITIONAL
        self.asks = asks(backward)
        self.kernels = {}  # {backend: a Kernel, which runs in place of this pair}

    def __call__(self, *inputs, **options):
        tensors, dtype = tensors_of(self, inputs, options)
        mode, pair = MODE.get(), self.pair_for(tensors[0], dtype)
        try:
            y, saved = pair.forward(*(None if t is None else t.data for t in tensors), **options)
        except Exception as error:
            error.add_note(f"in {describe(self, tensors, options)}")
            raise
        y = as_array(y)  # numpy's reductions give scalars
        if is_float(y.dtype) and dtype is None:  # integers that divide or exp make floats of: float32, as in torch
            return self(*as_floats(self, tensors), **options)
        if is_float(y.dtype) and y.dtype != dtype and not (y.dtype == "float32" and dtype.name == "bfloat16"):
            raise TypeError(f"{describe(self, tensors, options)} made {y.dtype} out of {dtype}")
        output = Tensor(y)
        if mode.recording and any(t is not None and t.requires_grad for t in tensors):
            output.requires_grad = True
            output.node = Node(self, pair, tensors, saved, output)
        for observer in mode.observers:
            observer.op_ran(self, tensors, options, output, saved)
        return output

    def pair_for(self, x, dtype=None):
        """What runs where x is the first array and the floats are of dtype, as x if not said: a kernel, or the op."""
        name = dtype_name(x.dtype if dtype is None else dtype)
        return self.kernel_for(x, name) or (self.rounded if name == "bfloat16" else self)

    def kernel_for(self, x, dtype=None):
        """The kernel that runs where x is the first array, or None; dtype: the name of the floats', if not x's."""
        kernel = self.kernels.get(backend_of(x.data)) if self.kernels and MODE.get().kernels else None
        return kernel if kernel and (kernel.dtypes is None or (dtype or dtype_name(x.dtype)) in kernel.dtypes) else None

    @cached_property
    def rounded(self):
        """The pair of the op for arrays of bfloat16."""
        return Kernel(*rounded_pair(self.forward, self.backward), self.asks, None)

    def __get__(self, tensor, owner=None):
        """As a function does, an op in a class body becomes a method: `exp = ops.exp`, then `x.exp()`."""
        return self if tensor is None else lambda *inputs, **options: self(tensor, *inputs, **options)

    def __repr__(self):
        return f"<op {self.__name__}{self.__signature__}>"


class Kernel(NamedTuple):
    """A forward and its backward that do what those of an op do, faster on one backend. They may save other things."""

    forward: Callable
    backward: Callable
    asks: frozenset
    dtypes: frozenset | None


def kernel(op, backend, forward, backward, dtypes=None):
    """From now on, `op` of arrays of `backend` runs as this pair (but see `observe.plain_ops`).

    dtypes: the names of those it is for; all, if not said.
    """
    op.kernels[backend] = Kernel(forward, backward, asks(backward), dtypes and frozenset(dtypes))


def asks(backward):
    """What a backward wants to know beyond dy and what was saved.

    needs: for each input, whether its gradient is needed. into (for kernels): for each input a Place to add its
    gradient to, or None; a backward that did so returns the Place for the gradient.
    """
    return frozenset({"needs", "into"} & inspect.signature(backward).parameters.keys())


class Node:
    """One op that ran: its backward, what its forward saved, and who made its inputs.

    It points at the nodes (or leaves) behind its inputs and not at the inputs themselves, so an activation that no
    backward needs is freed at once, and no reference ever points from an older node to a newer one: no cycles.
    """

    __slots__ = ("op", "pair", "saved", "inputs", "shape", "dtype", "time", "__weakref__")

    def __init__(self, op, pair, tensors, saved, output):
        self.op, self.pair, self.saved, self.time = op, pair, saved, next(_clock)
        self.inputs = tuple((t.node or t) if t is not None and t.requires_grad else None for t in tensors)
        self.shape, self.dtype = output.shape, output.dtype

    def __repr__(self):
        return f"<{self.op.__name__} -> {self.shape} {self.dtype}>"

    def __lt__(self, other):
        return self.time > other.time  # the heap of `gradients` gives the newest first

    def spend(self):
        """What its forward saved; the node forgets it."""
        if self.saved is None:
            raise RuntimeError(f"{self.op.__name__}: a second backward needs what the first one freed; run the forward "
                               "again")
        saved, self.saved = self.saved, None
        return saved

    def checked(self, grads):
        """One gradient an input (None: not needed), each as its input is."""
        name = self.op.__name__
        grads = grads if isinstance(grads, tuple) else (grads,)
        grads = tuple(g if g is None or isinstance(g, Place) else as_array(g) for g in grads)
        if len(grads) != len(self.inputs):
            raise RuntimeError(f"{name}_backward gave {len(grads)} gradients for {len(self.inputs)} arrays")
        for source, grad in zip(self.inputs, grads):
            if isinstance(grad, Place):
                continue
            if source is not None and (grad is None or grad.shape != source.shape or grad.dtype != source.dtype):
                got = "none" if grad is None else f"{grad.shape} {grad.dtype}"
                raise RuntimeError(f"{name}_backward must give a {source.shape} {source.dtype} gradient, gave {got}")
        return grads


def gradients(loss, dy=None, sink=None):
    """{leaf: dloss/dleaf} for every leaf that requires a gradient. No `.grad` is read or written; the graph is used up.

    dy is dL/dloss, of loss's shape; a scalar loss needs none (dL/dL = 1). What comes back may be shared or
    read-only: copy before you write. sink, where it is given, gets the share of every use of a leaf as soon as it is
    there, by sink.take(leaf, share), and nothing is kept here; a kernel that can adds it to sink.place(leaf), a Place
    or None, and then that is what `take` gets.
    """
    if not loss.requires_grad:
        raise RuntimeError("nothing here requires a gradient: make a leaf with Tensor(..., requires_grad=True), "
                           "and run the forward outside no_grad()")
    pending = {loss.node or loss: _upstream(loss, dy)}
    if sink and not loss.node:
        sink.take(loss, pending.pop(loss))
    newest = [loss.node] if loss.node else []
    observers = MODE.get().observers
    while newest:
        node = heapq.heappop(newest)  # everyone who used its output is newer, so its dy is complete
        dy, saved, asked = pending.pop(node), node.spend(), _asked(node, pending, sink)
        try:
            grads = node.pair.backward(dy, *saved, **asked)
        except Exception as error:
            error.add_note(f"in the backward of {node}")
            raise
        del saved  # nobody else holds it: its memory is free from here on
        grads = node.checked(grads)
        for observer in observers:
            observer.backward_ran(node, dy, grads)
        for source, share in zip(node.inputs, grads):
            if source is None or (isinstance(share, Place) and isinstance(source, Node)):
                continue  # nobody asks, or it is in `pending` already
            if sink and isinstance(source, Tensor):
                sink.take(source, share)
                continue
            before = pending.get(source)
            if before is None and isinstance(source, Node):
                heapq.heappush(newest, source)
            after = share if before is None else as_array(before + share)  # several users: their gradients add
            pending[source] = after
            for observer in observers:
                observer.gradient_added(source, before, share, after)
        dy = asked = grads = share = before = after = None  # `pending` alone holds gradients (see places.py)
    return pending  # every node has been popped: only the leaves are left


def _asked(node, pending, sink):
    """What the backward of a node wants to know (see `asks`)."""
    told = {}
    if "needs" in node.pair.asks:
        told["needs"] = tuple(source is not None for source in node.inputs)
    if "into" in node.pair.asks:
        told["into"] = tuple(place_of(source, pending, sink) for source in node.inputs)
    return told


def _upstream(loss, dy):
    """dy as an array of loss's shape and dtype; without one, dL/dL = 1."""
    if dy is None:
        if loss.data.size != 1:
            raise RuntimeError(f"backward() of a {loss.shape} tensor needs dy, the gradient of the final scalar by it; "
                               "or reduce it first: .sum() or .mean()")
        return array_module(loss.data).ones(loss.shape, loss.dtype)
    if isinstance(dy, NUMBERS) and not loss.shape:
        dy = array_module(loss.data).full((), dy, loss.dtype)
    dy = as_array(dy, None if isinstance(dy, Tensor) or is_array(dy) else loss.dtype)
    if backend_of(dy) != backend_of(loss.data):
        raise TypeError(f"dy is on {backend_of(dy)}, the tensor on {backend_of(loss.data)}; bring them to one backend")
    if dy.shape != loss.shape or dy.dtype != loss.dtype:
        raise ValueError(f"dy must be {loss.shape} {loss.dtype} as the tensor is, got {dy.shape} {dy.dtype}")
    return dy


def backward(loss, dy=None):
    """Add dloss/dleaf to the `.grad` of every leaf that requires one; dy as in `gradients`."""
    for leaf, grad in gradients(loss, dy).items():
        if leaf.grad is None:
            leaf.grad = grad.copy()  # its own writable array, shared with nobody
        else:
            leaf.grad += grad


Tensor.backward = backward
