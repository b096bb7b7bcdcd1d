"""Module: a function with parameters, made of smaller ones. Attributes are the tree; nothing is registered."""

from contextlib import contextmanager

import numpy as np

from .. import backend, display
from ..methods import Tensor
from ..observe import MODE, no_grad

DTYPES = ("float32", "float64", "bfloat16")


class Parameter(Tensor):
    """A tensor that an optimizer moves. name: its path in the model, for those who look at it."""

    __slots__ = ("name",)

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)
        self.name = None


class Module:
    """Subclass it, set Parameters and Modules as attributes in __init__, write `forward`, and call the object."""

    training = True

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs, **options):
        observers = MODE.get().observers
        if not observers:
            return self.forward(*inputs, **options)
        for observer in observers:
            observer.module_entered(self)
        try:
            return self.forward(*inputs, **options)
        finally:
            for observer in observers:
                observer.module_left(self)

    def __setattr__(self, name, value):
        is_parameter = isinstance(vars(self).get(name), Parameter)
        if is_parameter and isinstance(value, Tensor) and not isinstance(value, Parameter):
            raise TypeError(f"{type(self).__name__}.{name} is a Parameter and would no longer be learned; "
                            f"assign nn.Parameter(tensor), or .{name}.data = tensor")
        super().__setattr__(name, value)
        if isinstance(value, (Parameter, Module)):  # the path grows as the model is put together, from the inside out
            below = {value} if isinstance(value, Parameter) else set(value.parameters())
            for path, parameter in self.named_parameters():
                if parameter in below:
                    parameter.name = path

    # the tree

    def named_children(self):
        """(name, module) for each module that is an attribute of this one."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_modules(self, prefix=""):
        """(path, module) for this module and everything below it: ("h.0.attn", CausalSelfAttention(…))."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self):
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self, recurse=True):
        """(path, parameter), each parameter once: a tied one has the name under which it comes first.

        recurse: also those of the modules below, as in torch.
        """
        seen = set()
        for path, module in self.named_modules() if recurse else [("", self)]:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield f"{path}.{name}" if path else name, value

    def parameters(self):
        return (parameter for _, parameter in self.named_parameters())

    # what can be done to all of it

    def train(self, mode=True):
        """Training mode: dropout drops. `eval()` is the opposite."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        return self.train(False)

    @contextmanager
    def evaluating(self):
        """`with model.evaluating():` in evaluation mode and without a graph; afterwards each module is as it was."""
        learning = [module for module in self.modules() if module.training]
        try:
            for module in learning:
                module.training = False
            with no_grad():
                yield
        finally:
            for module in learning:
                module.training = True

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad=True):
        """Freeze all parameters (False) or let them learn."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, target):
        """Move all parameters to a backend ("numpy", "cupy") or a dtype ("float32", "bfloat16", …), in place."""
        if target not in (*backend.BACKENDS, *DTYPES):
            raise ValueError(f"to({target!r}): give a backend, {' or '.join(backend.BACKENDS)}, or "
                             f"{' or '.join(DTYPES)}")
        for parameter in self.parameters():
            parameter.data = Tensor(parameter.data).to(target).data
            parameter.grad = None
        return self

    def state_dict(self):
        """{path: a copy of the array} of every parameter."""
        return {name: parameter.data.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state_dict, assign=False):
        """Set every parameter from {path: array or tensor}; names or shapes that do not fit are listed, none is set.

        assign: take the arrays themselves where they have the dtype of the parameter, and no copies.
        """
        parameters = dict(self.named_parameters())
        arrays = {name: v.data if isinstance(v, Tensor) else v for name, v in state_dict.items()}
        arrays = {name: v if backend.is_array(v) else np.asarray(v) for name, v in arrays.items()}
        problems = [f"missing {name} {parameters[name].shape}" for name in parameters if name not in arrays]
        problems += [f"unexpected {name} {arrays[name].shape}" for name in arrays if name not in parameters]
        problems += [
            f"{name} is {arrays[name].shape}, must be {p.shape}"
            for name, p in parameters.items()
            if name in arrays and arrays[name].shape != p.shape
        ]
        if problems:
            more = [f"and {len(problems) - 50} more"] if len(problems) > 50 else []
            raise ValueError(f"the weights do not fit {type(self).__name__}: " + "; ".join(problems[:50] + more))
        for name, parameter in parameters.items():
            array = backend.to(arrays[name], backend.backend_of(parameter.data))
            parameter.data = array.astype(parameter.dtype, copy=not assign)

    # what it looks like

    def extra_repr(self):
        """What stands in the brackets of this module's repr: its sizes and options."""
        return ""

    def __repr__(self):
        return display.module_text(self)

    def _repr_html_(self):
        return display.module_html(self)


class ModuleList(Module):
    """Modules in a row, named 0, 1, …"""

    def __init__(self, modules):
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__}: item {i} is {module!r}, not a Module; "
                                "write Sigmoid() with its brackets, and Sequential(a, b) without a list")
            setattr(self, str(i), module)

    def __iter__(self):
        return (module for _, module in self.named_children())

    def __len__(self):
        return len(self.named_children())

    def __getitem__(self, i):
        return list(self)[i]


class Sequential(ModuleList):
    """Modules applied one after the other: Sequential(Linear(10, 5), ReLU(), Linear(5, 1))."""

    def __init__(self, *modules):
        super().__init__(modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x
