"""The recording as a web page: one file, no network, nothing to install.

Whoever records may say more than the engine knows:
- trace.text = {"tokens": ["t", "o", …], "targets": ["o", " ", …]}: the texts at each position, and under "vocab"
  {id: text} those of ids that do not occur
- trace.meta["loss_after"]: the loss on the same tokens after the update
- trace.meta["focus"] = {"step": 12, "cell": [0, 3]}: where the page opens; the cell need not be there
"""

import base64
import hashlib
import inspect
import json
from dataclasses import asdict
from importlib.resources import files

from . import formulas
from .checks import check_steps
from .export import UPDATES, plain, to_dict
from .source import result_lines

ARITHMETIC = ("terms", "indices", "elementwise", "gelu", "picking", "shape", "reductions", "products", "norms",
              "attention", "losses", "training")  # fmt: skip
SCRIPTS = (
    "trace", "axes", *(f"arithmetic/{name}" for name in ARITHMETIC), "heatmap", "cards", "layout", "panels", "side",
    "map", "timeline", "tours", "predict", "snippet", "dialogs", "going", "address", "top", "keys", "main",
)  # fmt: skip
LARGEST = 10_000_000


def to_html(trace):
    """The page as text; the same recording gives the same text."""
    if not trace.steps:
        raise ValueError("nothing was recorded: run ops inside of `with trace() as t:`")
    recorded = to_dict(trace)
    refuse_too_large(len(as_json(recorded)))  # before all that is computed for the page
    recording = as_json({**recorded, "formulas": formulas_of(trace), "checks": checks_of(trace)})
    style = read("style.css")
    script = "(() => {\n" + "\n".join(read(f"{name}.js") for name in SCRIPTS) + "\n})();"
    policy = f"default-src 'none'; script-src '{sha256(script)}'; style-src '{sha256(style)}'; base-uri 'none'"
    page = read("template.html")
    for slot, text in {"policy": policy, "style": style, "script": script, "recording": recording}.items():
        page = page.replace(f"<!--{slot}-->", text, 1)
    refuse_too_large(len(page))
    return page


def as_json(data):
    """JSON that can stand in a script element: no `<`, and nothing but ASCII."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def refuse_too_large(size):
    if size > LARGEST:
        raise ValueError(
            f"the page would have {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f}: "
            "take a shorter text, or a model with a smaller n_embd or n_layer"
        )


def read(name):
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def sha256(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def formulas_of(trace):
    """The formulas of each kind of call, and the lines that make its output; and of the steps that are no ops.

    `of_call` says which kind a call is.
    """
    kinds, of_call = {}, []
    for call in trace.calls:
        present = tuple(name for name, value in zip(call.op.names, call.inputs) if call.op.variadic or value)
        kind = (call.op, present, texts_of(call))
        of_call.append(kinds.setdefault(kind, len(kinds)))
    others = {"seed": formulas.SEED, "clip": formulas.CLIP, "after": formulas.LOSS_AFTER}
    for step in trace.steps:
        for name in UPDATES.keys() & step.numbers.keys():
            others["update"] = formulas.UPDATES[UPDATES[name].__name__]
    return {
        "of_call": of_call,
        "kinds": [formula_dict(*kind) for kind in kinds],
        "others": {phase: explained(tex, why) for phase, (tex, why) in others.items()},
    }


def texts_of(call):
    """Those options of a call that are texts, ("reduction", "mean"), given or left as they are."""
    parameters = inspect.signature(call.op.forward).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | call.options
    return tuple((name, x) for name, x in sorted(options.items()) if isinstance(x, str))


def formula_dict(op, present, texts):
    formula = formulas.formula_of(op)
    absent = dict.fromkeys(op.optional - set(present))
    return {
        "lines": result_lines(op.forward, {**absent, **dict(texts)})[0],
        "forward": explained(formulas.present(formula.forward, present), formula.why),
        "backward": {x: explained(formulas.present(tex, present), why) for x, (tex, why) in formula.backward.items()},
    }


def explained(tex, why):
    return {"formula": formulas.mathml(tex), "why": why}


def checks_of(trace):
    """{index of the step: {kind of check: its numbers}}"""
    found = check_steps(trace)
    return {i: {kind: plain(asdict(check)) for kind, check in checks.items()} for i, checks in found.items()}
