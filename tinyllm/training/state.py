"""All that changes while a model is trained, and the one file that keeps it.

Batches, dropout and the learning rate follow from the number of the step, so there is no state of theirs to keep:
parameters, both moments of AdamW and the step are enough to go on to the bit.
"""

import hashlib
import json
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from safetensors import safe_open

from .. import nn
from ..backend import backend_of, to, to_numpy
from ..files import replace_text
from ..models.pretrained import save_arrays
from ..models.tensor_file import read_tensors
from ..optim import AdamW

FACTS = ("step", "best_val_loss", "best_step", "text_sha256", "base_sha256", "memory")  # what is no array


class Diverged(ArithmeticError):
    """A number of the training is not finite any more: no step can mend that."""


@dataclass
class TrainState:
    model: nn.Module  # with a config, a dataclass
    optimizer: AdamW
    tokenizer: object  # one of tinyllm.tokenizers
    text_sha256: str  # of the text it learns: another one would make another run
    step: int = 0  # how many have been made
    best_val_loss: float | None = None
    best_step: int | None = None
    base_sha256: str | None = None  # of the weights that a fine-tuning starts from, and keeps where they are frozen
    memory: dict = field(default_factory=dict)  # {name: number} that a task carries from step to step

    def learned(self):
        """(name, parameter) for those that the optimizer moves: what is frozen never changes, and is not kept twice."""
        return [(name, p) for name, p in self.model.named_parameters() if p in self.optimizer.state]

    @property
    def updates(self):
        """How often the optimizer has moved the parameters: once a step, but for a task that does so more often."""
        return max(moments["step"] for moments in self.optimizer.state.values())

    def arrays(self):
        """{"parameter.NAME", "m.NAME", "v.NAME": array}"""
        found = {}
        for name, parameter in self.learned():
            moments, numbers = self.optimizer.state[parameter], self.optimizer.master(parameter)
            found |= {f"parameter.{name}": numbers, f"m.{name}": moments["m"], f"v.{name}": moments["v"]}
        return {name: to_numpy(array) for name, array in found.items()}

    @contextmanager
    def unrounded(self):
        """Inside, no weight is bfloat16, so that the model can be saved: what learns is as the optimizer moves it."""
        rounded = {p: p.data for p in self.model.parameters() if p.dtype == "bfloat16"}
        for p in rounded:
            p.data = self.optimizer.master(p).astype("float32", copy=False)
        try:
            yield
        finally:
            for p, data in rounded.items():
                p.data = data

    def on_host(self):
        """The same state on the host, where no step changes it: to be written while the next steps run on the GPU."""
        found = self.optimizer.on_host()
        arrays = {p: found[p]["parameter"] if p in found else to_numpy(p.data) for p in self.model.parameters()}
        model = deepcopy(self.model, {id(p.data): array for p, array in arrays.items()})
        twins = {p: twin for p, twin in zip(self.model.parameters(), model.parameters()) if p in found}
        optimizer = AdamW(twins.values())
        for p, twin in twins.items():
            optimizer.state[twin] = {"step": self.optimizer.state[p]["step"], "m": found[p]["m"], "v": found[p]["v"]}
        return replace(self, model=model, optimizer=optimizer, memory=dict(self.memory))

    def sizes(self):
        """What the model is, and what of that no shape tells: the number of heads, the precision."""
        learned = next(p for _, p in self.learned())
        sizes = asdict(self.model.config) | {"dtype": str(self.optimizer.master(learned).dtype)}
        del sizes["dropout"]  # that may change
        return sizes

    def check_finite(self):
        """Raise before a broken model takes the place of a good one."""
        if not all(np.isfinite(array).all() for array in self.arrays().values()):
            raise Diverged(f"step {self.step}: the training diverged, its weights are not finite numbers any more; "
                           "lower --learning-rate. Nothing was written")

    def save(self, path, **more):
        """Write everything to one safetensors file, its header holding what is no array, with `more` beside it.

        That header is also written to a .json file beside it, to read; the safetensors file is the one that counts.
        """
        arrays = self.arrays()
        facts = {name: getattr(self, name) for name in FACTS}
        facts |= {"updates": self.updates, "model": self.sizes(), **more}
        facts["arrays_sha256"] = digest(arrays)
        facts["facts_sha256"] = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        replace_text(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")
        save_arrays(path, arrays, {"state": json.dumps(facts)})

    def load(self, path):
        """Take over what `save` wrote, and give its header. Nothing is taken from a file that does not fit."""
        arrays, facts = read_tensors(path), read_facts(path)
        if digest(arrays) != facts["arrays_sha256"]:
            raise ValueError(f"{path} was changed after it was written: the sha256 of its arrays is not "
                             f"{facts['arrays_sha256']}; take another checkpoint, or train it again")
        if facts["base_sha256"] != self.base_sha256:
            raise ValueError(f"{path} was tuned from other weights than these; a run goes on from the model it began "
                             "with: --model")
        if facts["text_sha256"] != self.text_sha256:
            raise ValueError(f"{path} belongs to another text (sha256 {facts['text_sha256'][:12]}…, this one "
                             f"{self.text_sha256[:12]}…); a run goes on with the text it began with: --data")
        mine = self.arrays()
        wrong = [f"{name} is {facts['model'].get(name)}, must be {value}"
                 for name, value in self.sizes().items() if facts["model"].get(name) != value]
        wrong += [f"{name} is {arrays[name].shape if name in arrays else 'missing'}, must be {array.shape}"
                 for name, array in mine.items() if name not in arrays or arrays[name].shape != array.shape]
        wrong += [f"{name} is unexpected" for name in arrays if name not in mine]
        if wrong:
            more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise ValueError(f"{path} does not fit the configuration: {wrong[0]}{more}. A run goes on with the sizes "
                             "and options it began with")
        for name, parameter in self.learned():
            place, dtype = backend_of(parameter.data), self.optimizer.master(parameter).dtype
            taken = {kind: to(arrays[f"{kind}.{name}"].astype(dtype), place) for kind in ("parameter", "m", "v")}
            self.optimizer.set_master(parameter, taken["parameter"])
            self.optimizer.state[parameter].update(step=facts["updates"], m=taken["m"], v=taken["v"])
        for name in FACTS:
            setattr(self, name, facts[name])
        return facts


def read_facts(path):
    """What is not an array in a file that `TrainState.save` wrote."""
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["state"])
        expected = facts.pop("facts_sha256")
    except Exception as error:  # whatever was made of it
        raise ValueError(f"{path} is not the state of a training; take another checkpoint, or train again") from error
    if hashlib.sha256(json.dumps(facts).encode()).hexdigest() != expected:
        raise ValueError(f"{path} was changed after it was written; take another checkpoint, or train again")
    return facts


def digest(arrays):
    """sha256 of all the arrays, in the order of their names."""
    hashed = hashlib.sha256()
    for name in sorted(arrays):
        hashed.update(np.ascontiguousarray(arrays[name]).data)
    return hashed.hexdigest()
