"""The engine: an op that ran leaves a Node, and `gradients` walks the nodes from the newest to the oldest.

    y = f(x)          forward:   y, saved = f_forward(x)        a Node keeps `saved`
    dx = dL/dx        backward:  dx = f_backward(dy, *saved)    dy = dL/dy, the sum over everyone who used y

That is all of backpropagation: each op knows its own derivative, the engine passes dy along and adds up.
Gradients of gradients are out of scope: a backward is plain array code that is not itself recorded.
"""

import heapq
import inspect
from itertools import count

import numpy as np

from . import backend
from .observe import MODE

OPS = {}  # every op there is, by name
_clock = count()
NUMBERS = (bool, int, float, np.generic)


def op(forward, backward, discrete=()):
    """Join a forward with its backward. `discrete` names the arrays of integers or booleans: they have no gradient."""
    return OPS.setdefault(forward.__name__.removesuffix("_forward"), Op(forward, backward, discrete))


class Op:
    """A differentiable function of tensors: `y = layer_norm(x, weight, bias, eps=1e-5)`.

    Arrays come first, options by keyword. numpy arrays and Python numbers are taken for constants.
    """

    def __init__(self, forward, backward, discrete):
        self.forward, self.backward = forward, backward
        self.__name__ = forward.__name__.removesuffix("_forward")
        self.__doc__, self.__module__ = forward.__doc__, forward.__module__
        self.__signature__ = inspect.signature(forward)
        positional = [p for p in self.__signature__.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        self.names = tuple(p.name for p in positional)
        self.optional = sum(p.default is None for p in positional)
        self.variadic = positional[-1].kind is inspect.Parameter.VAR_POSITIONAL
        self.discrete = frozenset(discrete)
        self.takes_needs = "needs" in inspect.signature(backward).parameters

    def __repr__(self):
        return f"<op {self.__name__}{self.__signature__}>"

    def __get__(self, tensor, owner=None):
        """As a function does, an op in a class body becomes a method: `Tensor.exp = ops.exp`."""
        return self if tensor is None else lambda *inputs, **options: self(tensor, *inputs, **options)

    def __call__(self, *inputs, **options):
        while len(inputs) < len(self.names) and self.names[len(inputs)] in options:  # arrays given by their names
            inputs += (options.pop(self.names[len(inputs)]),)
        if len(self.names) - self.optional <= len(inputs) < len(self.names):
            inputs += (None,) * (len(self.names) - len(inputs))
        tensors, dtype = self._tensors(inputs)
        try:
            y, saved = self.forward(*(None if t is None else t.data for t in tensors), **options)
        except Exception as error:
            error.add_note(f"in {_call(self, tensors, options)}")
            raise
        y = np.asarray(y) if isinstance(y, np.generic) else y  # numpy's reductions give scalars
        if y.dtype.kind == "f" and y.dtype != dtype:
            if dtype is not None:
                raise TypeError(f"{_call(self, tensors, options)} made {y.dtype} out of {dtype}")
            y = y.astype(np.float32)  # of integers alone: 1 / 2 is a float32, as in torch
        mode = MODE.get()
        output = Tensor(y)
        if mode.recording and any(t is not None and t.requires_grad for t in tensors):
            output.requires_grad = True
            output.node = Node(self, tensors, saved, output)
        for observer in mode.observers:
            observer.op_ran(self, tensors, options, output, saved)
        return output

    def _tensors(self, inputs):
        """The inputs as Tensors of one float dtype: numbers and integers take it, two different ones are refused."""
        names = self.names
        if self.variadic:
            names = names[:-1] + names[-1:] * (len(inputs) - len(names) + 1)
        if len(inputs) > len(names):
            raise TypeError(f"{self.__name__} takes {len(names)} arrays ({', '.join(names)}), got {len(inputs)}; "
                            f"options are given by name: {self.__name__}{self.__signature__}")
        inputs = [x if x is None or isinstance(x, (Tensor, *NUMBERS)) else Tensor(x) for x in inputs]
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        discrete = [name in self.discrete for name in names]
        floats = {x.dtype for x, d in zip(inputs, discrete) if isinstance(x, Tensor) and x.dtype.kind == "f" and not d}
        if len(floats) > 1:
            raise TypeError(f"{self.__name__} got {' and '.join(sorted(map(str, floats)))}: "
                            "bring them to one dtype, as with x.to('float64')")
        dtype = next(iter(floats), None)
        xp = backend.array_module(tensors[0].data) if tensors else np
        for i, (name, x) in enumerate(zip(names, inputs)):
            if isinstance(x, NUMBERS):
                inputs[i] = Tensor(xp.full((), x, dtype or np.result_type(x if isinstance(x, np.generic) else type(x))))
            elif x is not None and discrete[i] and x.dtype.kind == "f":
                raise TypeError(f"{self.__name__}: {name} must be integers or booleans, not {x.dtype}")
            elif x is not None and not discrete[i] and dtype not in (None, x.dtype):
                inputs[i] = Tensor(x.data.astype(dtype))
        return tuple(inputs), dtype


def _call(op, tensors, options):
    """How an op was called, for an error: `layer_norm((4, 8, 256) float32, (256,) float32, eps=1e-05)`."""
    arrays = ["None" if t is None else f"{t.shape} {t.dtype}" for t in tensors]
    return f"{op.__name__}({', '.join(arrays + [f'{k}={v!r}' for k, v in options.items()])})"


class Node:
    """One op that ran: its backward, what its forward saved, and who made its inputs.

    It points at the nodes (or leaves) behind its inputs and not at the inputs themselves, so an activation that no
    backward needs is freed at once, and no reference ever points from an older node to a newer one: no cycles.
    """

    __slots__ = ("op", "saved", "inputs", "shape", "dtype", "time", "__weakref__")

    def __init__(self, op, tensors, saved, output):
        self.op, self.saved, self.time = op, saved, next(_clock)
        self.inputs = tuple((t.node or t) if t is not None and t.requires_grad else None for t in tensors)
        self.shape, self.dtype = output.shape, output.dtype

    def __repr__(self):
        return f"<{self.op.__name__} -> {self.shape} {self.dtype}>"

    def __lt__(self, other):
        return self.time > other.time  # the heap of `gradients` gives the newest first

    def backward(self, dy):
        """One gradient an input (None: not needed); frees what the forward saved."""
        name = self.op.__name__
        if self.saved is None:
            raise RuntimeError(f"{name}: a second backward needs what the first one freed; run the forward again")
        saved, self.saved = self.saved, None
        needs = {"needs": tuple(source is not None for source in self.inputs)} if self.op.takes_needs else {}
        try:
            grads = self.op.backward(dy, *saved, **needs)
        except Exception as error:
            error.add_note(f"in the backward of {self}")
            raise
        grads = grads if isinstance(grads, tuple) else (grads,)
        if len(grads) != len(self.inputs):
            raise RuntimeError(f"{name}_backward gave {len(grads)} gradients for {len(self.inputs)} arrays")
        for source, grad in zip(self.inputs, grads):
            if source is not None and (grad is None or grad.shape != source.shape or grad.dtype != source.dtype):
                got = "none" if grad is None else f"{grad.shape} {grad.dtype}"
                raise RuntimeError(f"{name}_backward must give a {source.shape} {source.dtype} gradient, gave {got}")
        return grads


def gradients(loss, dy=None):
    """{leaf: dloss/dleaf} for every leaf that requires a gradient. Pure: no `.grad` is read or written.

    dy is dL/dloss, of loss's shape; a scalar loss needs none (dL/dL = 1). What comes back may be shared or
    read-only: copy before you write.
    """
    if not loss.requires_grad:
        raise RuntimeError("nothing here requires a gradient: make a leaf with Tensor(..., requires_grad=True), "
                           "and run the forward outside no_grad()")
    pending = {loss.node or loss: _upstream(loss, dy)}
    newest = [loss.node] if loss.node else []
    observers = MODE.get().observers
    while newest:
        node = heapq.heappop(newest)  # everyone who used its output is newer, so its dy is complete
        dy = pending.pop(node)
        grads = node.backward(dy)
        for observer in observers:
            observer.backward_ran(node, dy, grads)
        for source, share in zip(node.inputs, grads):
            if source is None:
                continue
            before = pending.get(source)
            if before is None and isinstance(source, Node):
                heapq.heappush(newest, source)
            after = pending[source] = share if before is None else before + share  # several users: gradients add
            for observer in observers:
                observer.gradient_added(source, before, share, after)
    return pending  # every node has been popped: only the leaves are left


def _upstream(loss, dy):
    if dy is None:
        if loss.data.size != 1:
            raise RuntimeError(f"backward() of a {loss.shape} tensor needs dy, the gradient of the final scalar by it; "
                               "or reduce it first: .sum() or .mean()")
        return backend.array_module(loss.data).ones(loss.shape, loss.dtype)
    dy = dy.data if isinstance(dy, Tensor) else Tensor(dy).data
    if dy.shape != loss.shape or dy.dtype != loss.dtype:
        raise ValueError(f"dy must be {loss.shape} {loss.dtype} as the tensor is, got {dy.shape} {dy.dtype}")
    return dy


class Tensor:
    """An array that remembers how it was made.

    data: an array of numpy or cupy, shared and not copied (`tensor()` copies); lists and numbers become float32,
    int64 or bool. grad: None, or an array of its own after `backward()`. node: the op that made it, None for a leaf.
    """

    __slots__ = ("data", "grad", "requires_grad", "node", "__weakref__")
    __array_ufunc__ = None  # numpy_array * tensor is ours to answer, not numpy's

    def __init__(self, data, requires_grad=False, dtype=None):
        if isinstance(data, Tensor):
            data = data.data
        if isinstance(data, np.generic):
            data = np.asarray(data)
        if not backend.is_array(data):
            data = np.asarray(data)
            if data.dtype == object or data.dtype.kind not in "fiub":
                raise TypeError(f"Tensor takes numbers, got {data.dtype} data such as {str(data.reshape(-1)[:1])[:40]}")
            data = data.astype(np.float32) if data.dtype == np.float64 else data
        self.data = data if dtype is None else data.astype(dtype, copy=False)
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(f"only floating-point tensors can require a gradient, not {self.dtype}")
        self.grad, self.requires_grad, self.node = None, requires_grad, None

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    def backward(self, dy=None):
        """Add dself/dleaf to the `.grad` of every leaf that requires one; dy as in `gradients`."""
        for leaf, grad in gradients(self, dy).items():
            if leaf.grad is None:
                leaf.grad = grad.copy()  # its own writable array, shared with nobody
            else:
                leaf.grad += grad

    def detach(self):
        """The same numbers, cut off from what made them."""
        return Tensor(self.data)

    def numpy(self):
        """The numbers as a numpy array: shared on the CPU, a copy from the GPU. Writing to it changes the tensor."""
        if self.requires_grad:
            raise RuntimeError("this tensor requires a gradient; call .detach().numpy()")
        return backend.to_numpy(self.data)

    def item(self):
        """The Python number in a tensor of one element."""
        if self.data.size != 1:
            raise ValueError(f"item() needs a tensor of one element, this one is {self.shape}; use .tolist()")
        return self.data.item()
