"""What the optimizers share: groups of parameters with their options, and a state for each parameter."""

from ..backend import backend_of, is_array
from ..observe import MODE
from ..tensor import Tensor
from .clip import clip_grad_norm


class Optimizer:
    """params: tensors, (name, tensor) pairs, or groups {"params": …, option: value} as in torch."""

    def __init__(self, params, **defaults):
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__} takes a list of tensors, not one: write [tensor]")
        if hasattr(params, "parameters"):
            raise TypeError(f"{type(self).__name__} takes the parameters of a model: write model.parameters()")
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.param_groups = []
        for group in groups:
            unknown = set(group) - {"params", *defaults}
            if unknown:
                raise ValueError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}; "
                                 f"its options are {', '.join(defaults)}")
            for name, value in {**defaults, **group}.items():
                self._check(name, value)
            listed = [group["params"]] if isinstance(group["params"], Tensor) else group["params"]
            tensors = [p[1] if isinstance(p, tuple) else p for p in listed]
            self.param_groups.append({**defaults, **group, "params": tensors})
        listed = [p for group in self.param_groups for p in group["params"]]
        if strangers := [type(p).__name__ for p in listed if not isinstance(p, Tensor)]:
            raise TypeError(f"{type(self).__name__} moves tensors, not {strangers[0]}")
        if any(p.node is not None for p in listed):
            raise ValueError("only leaves can be moved: a tensor that an op made is made anew by the next forward")
        if len({id(p) for p in listed}) < len(listed):
            raise ValueError("a parameter is listed twice and would be moved twice; "
                             "model.parameters() gives tied weights once")
        self.state = {p: self.initial_state(p.data) for p in listed}

    def _check(self, name, value):
        if name == "params":
            return
        highest = 1 if name == "betas" else float("inf")
        numbers = value if isinstance(value, (tuple, list)) else [value]
        if name == "betas" and len(numbers) != 2:
            raise ValueError(f"{type(self).__name__}: betas must be two numbers, not {value}")
        if not all(0 <= v < highest for v in numbers):
            raise ValueError(f"{type(self).__name__}: {name} must be from 0 to below {highest}, not {value}")

    def backward(self, loss, dy=None):
        """loss.backward(dy), for an optimizer that has a place of its own for gradients."""
        loss.backward(dy)

    def clip(self, max_norm):
        """`clip_grad_norm` of all its parameters."""
        return clip_grad_norm((p for group in self.param_groups for p in group["params"]), max_norm)

    def master(self, p):
        """p as the optimizer moves it, an array: p.data, or the more precise numbers that p.data is a rounding of."""
        return p.data

    def set_master(self, p, array):
        """Set p to an array of its backend, as `master` gave it."""
        p.data = array.astype(p.dtype, copy=False)

    def _check_place(self, p):
        arrays = [p.data, p.grad, *filter(is_array, self.state[p].values())]
        places = set(map(backend_of, arrays))
        if len(places) > 1:
            raise TypeError(f"{type(self).__name__}: of a parameter, its gradient and its state some are on "
                            f"{' and some on '.join(sorted(places))}; make the optimizer after model.to(...)")

    def zero_grad(self):
        """Forget the gradients, so that the next backward starts from none."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self):
        """Move every parameter that has a gradient."""
        observers = MODE.get().observers
        for group in self.param_groups:
            options = plain_numbers(group)
            for p in group["params"]:
                if p.grad is None:
                    continue
                before = p.data
                self._check_place(p)
                p.data = self.update(p.data, p.grad.astype(p.dtype, copy=False), self.state[p], **options)
                for observer in observers:
                    observer.parameter_updated(p, before, self.state[p], options)


def plain_numbers(group):
    """The options of a group as Python floats: a rate that numpy computed would turn float32 weights into float64."""
    options = {name: value for name, value in group.items() if name != "params"}
    return {n: tuple(map(float, v)) if isinstance(v, (tuple, list)) else float(v) for n, v in options.items()}
