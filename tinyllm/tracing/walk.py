"""What each step of a recording shows, whatever shows it: names, arrays, formula, reason, lines, and where to go next.

The page does the same in its scripts; a test holds the two against each other.
"""

import inspect
import linecache
from dataclasses import dataclass

import numpy as np

from . import formulas
from .checks import check_steps
from .export import other_functions, short
from .plain_math import plain_math
from .recorder import Step, Value
from .source import result_lines
from .ways import Ways


@dataclass(frozen=True)
class Card:
    """An array of a step. made: it is what the step makes, and shares one scale with the others that are."""

    title: str
    array: np.ndarray
    note: str = ""
    made: bool = False


@dataclass(frozen=True, eq=False)
class Stop:
    """A step of the walk; those of a forward are told apart as forward, loss, and after (the update)."""

    index: int
    phase: str
    step: Step
    dy: np.ndarray | None = None  # what the backward received


class Walk(Ways):
    """The stops of a recording, one for each of its steps, and one for the loss after the update where it is known."""

    def __init__(self, trace):
        self.trace = trace
        self.modules = dict(trace.modules)
        self.label = labels(trace.values)
        self.stops = list(stops_of(trace))
        self.functions = other_functions(trace)

    def short(self, value):
        """The name of a value; of a parameter its last two parts."""
        return ".".join(value.name.split(".")[-2:]) if value.role == "parameter" else self.label[value]

    def gradient(self, value):
        name = self.short(value)
        return f"d {name}" if "." in name or "_" in name else f"d{name}"

    # words

    def title(self, stop):
        step, phase = stop.step, stop.phase
        if phase == "seed":
            return self.gradient(step.value) + (" = 1" if (step.after == 1).all() else " is given")
        if phase == "backward":
            return f"{self.gradient(step.value)} {'+=' if step.before is not None else '='} share from " \
                   f"{step.call.op.__name__}"  # fmt: skip
        if phase == "clip":
            return "clip the gradients"
        if phase == "update":
            return f"{self.short(step.value)} takes a step"
        if step.call is None:
            return "the loss after the step"
        names = ", ".join(self.short(value) for value in step.call.inputs if value)
        return f"{self.label[step.call.output]} = {step.call.op.__name__}({names})"

    def subtitle(self, stop):
        step, call = stop.step, stop.step.call
        if stop.phase == "seed":
            return "the backward begins: how much does the loss move when the loss moves?"
        if stop.phase == "clip":
            return "all gradients together, as one long vector"
        if stop.phase == "update":
            return f"{step.value.name}: the optimizer moves the parameter against its gradient"
        if call is None:
            return "the same tokens, the moved parameters"
        kind = self.modules.get(call.scope, "")
        scope = f"{call.scope} ({kind})" if call.scope else kind
        if stop.phase != "backward":
            return scope
        name = call.op.names[0] if call.op.variadic else call.op.names[step.wrt]
        by = f"backward of {self.label[call.output]} = {call.op.__name__}(…) by {name}"
        return f"{scope} · {by}" if scope else by

    def heading(self, stop):
        step = stop.step
        if stop.phase == "backward":
            of = self.trace.shares(step.value)
            return f"adds share {step.nth} of {of} to {self.gradient(step.value)}" if of > 1 else "makes its only share"
        return {"seed": "starts from", "update": f"moves {self.short(step.value)}" if step.value else "",
                "after": "makes" if step.call else "gets"}.get(stop.phase, "makes")  # fmt: skip

    def formula(self, stop):
        """(the formula with the names of this step, why it is so)"""
        step, call = stop.step, stop.step.call
        if call is None:
            return self._other_formula(stop)
        op = call.op
        written = formulas.formula_of(op)
        given = [name for name, value in zip(op.names, call.inputs) if op.variadic or value]
        tex, why = written.forward, ""
        if stop.phase == "backward":
            tex, why = written.backward["xs" if "xs" in written.backward else op.names[step.wrt]]
        return plain_math(formulas.present(tex, given), self._slots(stop)), why

    def _other_formula(self, stop):
        if stop.phase == "update":
            function = self.functions.get("update")
            tex, why = formulas.UPDATES[function.__name__] if function else ("", "")
        else:
            tex, why = {"seed": formulas.SEED, "clip": formulas.CLIP, "after": formulas.LOSS_AFTER}[stop.phase]
        value = stop.step.value
        names = {"y": self.short(value), "dy": self.gradient(value)} if value else {}
        return plain_math(tex, names), why

    def _slots(self, stop):
        call = stop.step.call
        names = {"y": self.short(call.output), "dy": self.gradient(call.output)}
        if call.op.variadic:
            of = stop.step.value if stop.phase == "backward" else call.output
            return names | {"xs": ", ".join(map(self.short, call.inputs)), "dx": self.gradient(of)}
        for name, value in zip(call.op.names, call.inputs):
            if value:
                names |= {name: self.short(value), f"d{name}": self.gradient(value)}
        return names

    def shapes(self, stop):
        """The op's own line of shapes."""
        doc = inspect.getdoc(stop.step.call.op.forward) if stop.step.call else ""
        return (doc or "").rpartition("\n")[2].replace("->", "→")

    # arrays

    def receives(self, stop):
        step, call = stop.step, stop.step.call
        if stop.phase == "seed":
            return [Card(self.short(step.value), step.value.array)]
        if stop.phase == "update":
            arrays = {name: x for name, x in step.numbers.items() if isinstance(x, np.ndarray)}
            return [Card(name, x, "of the optimizer") for name, x in arrays.items()]
        if call is None:
            return []
        if stop.phase != "backward":
            return [Card(self.short(value), value.array) for value in dict.fromkeys(filter(None, call.inputs))]
        dy = [] if stop.dy is None else [Card(self.gradient(call.output), stop.dy, "dy")]
        return dy + self._saved(call)

    def _saved(self, call):
        cards = []
        for name, x in call.saved.items():
            if isinstance(x, Value):
                note = "saved" if name == self.short(x) else f"saved as {name}"
                cards.append(Card(self.short(x), x.array, note))
            elif isinstance(x, np.ndarray) and x.size > 1:
                cards.append(Card(name, x, "saved"))
        return cards

    def makes(self, stop):
        """What the step makes: one array, or before, share (or change) and after."""
        step = stop.step
        if stop.phase == "backward" and step.before is not None:
            arrays = {"before": step.before, "+ this share": step.share, "= after": step.after}
        elif stop.phase == "update":
            arrays = {"before": step.before, "+ change": step.after - step.before, "= after": step.after}
        elif stop.phase == "backward":
            arrays = {self.gradient(step.value): step.after}
        elif stop.phase == "clip":
            arrays = {"scale": np.float32(step.numbers["scale"])}
        elif stop.phase == "seed":
            arrays = {self.gradient(step.value): step.after}
        else:
            arrays = {self.label[step.value] if step.call else "loss after": step.after}
        return [Card(name, np.asarray(array), made=True) for name, array in arrays.items()]

    def options(self, stop):
        """n = 16, axis = -1: what is no array."""
        call, numbers = stop.step.call, stop.step.numbers
        found = {**call.options, **call.saved} if call else {**numbers}
        if stop.phase == "update":
            found = {**self.trace.meta.get("optimizer", {}), **numbers}
        return {name: x for name, x in found.items() if not isinstance(x, Value) and np.size(x) == 1 and x is not None}

    # source and proof

    def source(self, stop):
        """(file, number of the first line, lines, (first, last) line that made the result), or None."""
        call = stop.step.call
        if call:
            function = call.op.backward if stop.phase == "backward" else call.op.forward
            made = result_lines(function)
            wrt = stop.step.wrt if stop.phase == "backward" else 0
            hot = made[min(wrt, len(made) - 1)]
        elif stop.phase in self.functions:
            function = self.functions[stop.phase]
            hot = result_lines(function)[2 if stop.phase == "clip" else 0]
        else:
            return None
        file, (lines, first) = function.__code__.co_filename, inspect.getsourcelines(function)
        return short(file), first, [line.rstrip("\n") for line in lines], hot

    def callers(self, stop):
        """["tinyllm/nn/attention.py:28  qkv = self.c_attn(x)", …], the innermost first."""
        places = stop.step.call.places if stop.step.call else []
        shown = [place for place in places if not place.file.endswith("nn/module.py")]
        return [f"{short(p.file)}:{p.line}  {linecache.getline(p.file, p.line).strip()}" for p in shown]

    def checks(self, with_torch=True):
        """{index: {kind: Check}} of every backward step: some seconds of work."""
        return check_steps(self.trace, with_torch)


def labels(values):
    """{value: its name, numbered where several have it}: x₁, x₂; parameters have paths, which are unique."""
    names = [value.name for value in values if value.role != "parameter"]
    seen, found = {}, {}
    for value in values:
        seen[value.name] = seen.get(value.name, 0) + 1
        several = value.role != "parameter" and names.count(value.name) > 1
        digits = str(seen[value.name]).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
        found[value] = value.name + (digits if several else "")
    return found


def stops_of(trace):
    seeded = {step.value for step in trace.steps if step.phase == "seed"}
    gradients, updated = {}, False
    for i, step in enumerate(trace.steps):
        phase = step.phase
        updated |= phase == "update"
        if phase == "forward":
            phase = "after" if updated else "loss" if step.value in seeded else phase
        if phase == "seed":
            gradients = {}
        dy = gradients.get(step.call.output) if phase == "backward" else None
        if phase in ("seed", "backward"):
            gradients[step.value] = step.after
        yield Stop(i, phase, step, dy)
    loss_after = trace.meta.get("loss_after")
    if seeded and isinstance(loss_after, float) and np.isfinite(loss_after):
        loss = [step.value for step in trace.steps if step.phase == "seed"][-1]
        yield Stop(len(trace.steps), "after", Step("after", value=loss, after=np.float32(loss_after)))


def number(x):
    """A number in four digits, the same wherever a terminal shows it."""
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def visible(text):
    """A token as it can be seen: space, line end, control and steering characters have signs."""
    signs = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
    shown = (signs.get(c) or (c if c.isprintable() else chr(0x2400 + ord(c)) if ord(c) < 32 else f"\\u{ord(c):04x}")
             for c in text)  # fmt: skip
    return "".join(shown) or "∅"
