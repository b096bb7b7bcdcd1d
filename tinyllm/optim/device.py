"""AdamW where the parameters live on a GPU: four long float32 vectors, moved by one kernel.

The same numbers as adamw.py's up to rounding. Nothing of a step is known to the GPU beforehand but addresses: rates
and the number of the step lie in a small array that the host writes, so a step can be captured and replayed.
"""

import math

import numpy as np

from ..backend import array_module, backend_of, is_array
from ..kernels.cuda.adamw import ALIGN, STRETCH, adamw, blocks, gradient_norm
from ..kernels.cuda.memory import Upload, pinned
from ..observe import MODE
from .gradients import PlacedAdamW
from .optimizer import plain_numbers

DTYPES = ("float32", "bfloat16")


def fits_a_gpu(params):
    """Whether there are kernels for parameters of these dtypes."""
    dtypes = {p.dtype.name for p in params}
    return len(dtypes) == 1 and dtypes <= set(DTYPES)


class DeviceAdamW(PlacedAdamW):
    """AdamW on a GPU. Gradients, m and v are views of three vectors; so are the parameters themselves, of a fourth.

    Parameters of bfloat16 are views of a fifth one, p rounded: p itself, `master`, is float32, as are gradients, m
    and v. An array of a parameter or of its gradient that was kept changes with the next step, as in torch.
    """

    def __init__(self, params, **options):
        super().__init__(params, **options)
        self.params = [p for group in self.param_groups for p in group["params"]]
        if not fits_a_gpu(self.params) or "numpy" in {backend_of(p.data) for p in self.params}:
            raise TypeError("DeviceAdamW moves parameters on a GPU, all of float32 or all of bfloat16; use AdamW for "
                            "others")
        self.dtype, xp = self.params[0].dtype, array_module(self.params[0].data)
        self.places, self.size = layout(self.params)
        self.p, self.g, self.m, self.v = (xp.zeros(self.size, "float32") for _ in range(4))
        self.shadow = None if self.dtype == "float32" else xp.zeros(self.size, self.dtype)
        self.masters, self.grads, self.means, self.squares = map(self.views, (self.p, self.g, self.m, self.v))
        self.rounded = self.masters if self.shadow is None else self.views(self.shadow)
        self.partial, self.found = xp.empty(blocks(self.size), "float32"), xp.ones(2, "float32")  # norm, scale
        self.one, self.clipped = xp.ones(1, "float32"), False
        self.stretches, self.count = Upload(len(self.params) * STRETCH.itemsize, "uint8"), 0
        self.kept = None  # of `on_host`
        for p in self.params:
            self.state[p].update(m=self.means[p], v=self.squares[p])
        self.adopt()

    def initial_state(self, param):
        return {"step": 0}  # and m and v, when there are vectors for them

    def views(self, vector):
        return {p: vector[place].reshape(p.shape) for p, place in self.places.items()}

    def master(self, p):
        return self.masters[p] if p in self.masters else p.data

    def set_master(self, p, array):
        if p not in self.masters:
            return super().set_master(p, array)
        self.masters[p][...] = array
        p.data = self.rounded[p]
        if self.shadow is not None:
            p.data[...] = array

    def adopt(self):
        """Take what a parameter or its state was set to since the last step (weights that were loaded)."""
        for p in self.params:
            state = self.state[p]
            if p.data is not self.rounded[p]:
                self.set_master(p, fitting(p.data, self.rounded[p]))
            for name, views in (("m", self.means), ("v", self.squares)):
                if state[name] is not views[p]:
                    views[p][...] = fitting(state[name], views[p])
                    state[name] = views[p]

    def on_host(self):
        """{p: {"parameter", "m", "v": array}} on the host, as they are now, until the next call: no step changes them.

        Waits for the GPU, and for three copies to pinned memory.
        """
        self.adopt()
        self.kept = self.kept or [pinned(self.size, "float32") for _ in range(3)]
        for vector, kept in zip((self.p, self.m, self.v), self.kept):
            vector.get(out=kept)
        names = "parameter", "m", "v"
        return {
            p: {name: kept[place].reshape(p.shape) for name, kept in zip(names, self.kept)}
            for p, place in self.places.items()
        }

    # gradients

    def room(self, p):
        return self.grads.get(p)

    def _taken(self, p, grad):
        self.grads[p][...] = grad
        return self.grads[p]

    def clip(self, max_norm):
        """The joint length of all gradients; the next step takes them times min(1, max_norm / (norm + 1e-6))."""
        if MODE.get().observers:
            return super().clip(max_norm)
        self._gather()
        self.write(max_norm)
        return self.measure().copy()

    def _gather(self):
        """Gradients that somebody put elsewhere, into their vector."""
        for p in self.params:
            if p.grad is not None and p.grad is not self.grads[p]:
                p.grad = self._taken(p, p.grad)

    # the step

    def step(self):
        """Move every parameter that has a gradient."""
        observers = MODE.get().observers
        self.adopt()
        self._gather()
        before = {p: p.data.copy() for p in self.moved()} if observers else {}
        self.write()
        self.move()
        self.counted()
        for group in self.param_groups:
            for p in filter(before.__contains__, group["params"]):
                self._tell(observers, p, before[p], plain_numbers(group))

    def _tell(self, observers, p, before, options):
        """Let observers hear of an update, with arrays that no other step changes."""
        p.data = p.data.copy()
        state = {name: value.copy() if is_array(value) else value for name, value in self.state[p].items()}
        for observer in observers:
            observer.parameter_updated(p, before, state, options)
        p.data = self.rounded[p]

    def write(self, max_norm=math.inf, moved=None):
        """Tell the GPU how the parameters of the next step are moved; moved: which, if not those with a gradient."""
        rows = self.rows(self.moved() if moved is None else moved)
        rows["max_norm"], self.count = max_norm, len(rows)
        table = np.zeros(len(self.params), STRETCH)
        table[: self.count] = rows
        self.stretches.write(table.view("uint8"))

    def moved(self):
        """The parameters that the next step moves."""
        return {p for p in self.params if p.grad is not None}

    def measure(self):
        """norm (), an array that the next step changes: the length of the gradient; `move` will clip it."""
        gradient_norm(self.g, self.stretches.array, self.count, self.partial, self.found)
        self.clipped = True
        return self.found[0]

    def move(self):
        """The kernel of a step."""
        scale = self.found[1:] if self.clipped else self.one
        adamw(self.p, self.g, self.m, self.v, self.shadow, self.stretches.array, self.count, scale)
        self.clipped = False

    def counted(self, moved=None):
        """A step was made."""
        for p in self.moved() if moved is None else moved:
            self.state[p]["step"] += 1

    def rows(self, moved):
        """How neighbours that are moved alike are moved, a STRETCH each."""
        found = []  # [start, stop, what decides the numbers]
        for group in self.param_groups:
            options = tuple(plain_numbers(group).items())
            for p in group["params"]:
                if p not in moved:
                    continue
                place, alike = self.places[p], (options, self.state[p]["step"] + 1)
                start, stop = place.start, -(-place.stop // ALIGN) * ALIGN
                if found and found[-1][1:] == [start, alike]:
                    found[-1][1] = stop
                else:
                    found.append([start, stop, alike])
        return np.array([(start, stop, *numbers(step, **dict(options)), 0) for start, stop, (options, step) in found],
                        STRETCH)  # fmt: skip


def numbers(step, lr, betas, eps, weight_decay):
    """What a STRETCH has between its places and max_norm."""
    beta1, beta2 = betas
    c1, root = 1 - beta1**step, math.sqrt(1 - beta2**step)
    return 1 - lr * weight_decay, beta1, 1 - beta1, beta2, 1 - beta2, lr / c1, root, eps


def layout(params):
    """{parameter: its place in a vector}, and the size of the vector: each begins at a multiple of ALIGN."""
    places, start = {}, 0
    for p in params:
        places[p] = slice(start, start + p.data.size)
        start = -(-places[p].stop // ALIGN) * ALIGN
    return places, start


def fitting(array, view):
    """An array that is to be copied to a view."""
    if backend_of(array) != backend_of(view) or array.dtype != view.dtype or array.shape != view.shape:
        raise TypeError(f"DeviceAdamW: a parameter of {view.shape} {view.dtype} became {array.shape} {array.dtype} on "
                        f"{backend_of(array)}; make a new optimizer")
    return array
