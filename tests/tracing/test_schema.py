"""What schema.json says of a recording is so: of many recordings, and not of broken ones."""

import base64
import copy
import json
import re
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from tests.tracing.recordings import record, record_every_op
from tinyllm import SGD, Tensor
from tinyllm.cli import main
from tinyllm.tracing import trace
from tinyllm.tracing.page import to_html

SCHEMA = json.loads(files("tinyllm.tracing").joinpath("schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HOSTILE = ["</script>", "<!--", "\u202eabc", "\x00", "🦜", "\n", "nan", '"', "\ud800"]


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def parsed(text):
    return json.loads(text, parse_constant=refuse)


def embedded(html):
    return parsed(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[1])


def subschemas(schema):
    """Every schema inside of a schema."""
    if isinstance(schema, dict):
        if schema.keys() & {"type", "$ref", "const", "enum", "anyOf", "oneOf"}:
            yield schema
        for part in schema.values():
            yield from subschemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from subschemas(part)


def records_odd_numbers():
    x = Tensor(np.array([[1.0, np.nan, np.inf], [-np.inf, 0.0, 2.0]], np.float32), requires_grad=True)
    with np.errstate(invalid="ignore"), trace() as recording:
        (x * 2.0).clip(0.0, float("inf")).sum().backward()
        SGD([x], lr=0.1, momentum=0.9).step()
    recording.meta |= {"loss": float("nan"), "loss_after": float("inf")}
    return recording


RECORDINGS = {
    "one layer": lambda: record(n_layer=1)[0],
    "two layers": lambda: record()[0],
    "three layers, three heads": lambda: record(n_layer=3, n_head=3, n_embd=12)[0],
    "no bias, dropout, untied": lambda: record(n_layer=1, dropout=0.3, bias=False, tie_weights=False)[0],
    "hostile tokens": lambda: record(HOSTILE, n_layer=1)[0],
    "NaN and infinities": records_odd_numbers,
    "every op": record_every_op,
}


@pytest.fixture(scope="module")
def recorded():
    return parsed(record(n_layer=1)[0].to_json())


def test_it_is_a_schema_that_describes_every_field():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    fields = [field for schema in subschemas(SCHEMA) for field in schema.get("properties", {}).items()]
    named = SCHEMA["$defs"]
    unsaid = [name for name, field in fields if "description" not in field | named.get(field.get("$ref", "")[8:], {})]
    assert len(fields) > 70 and not unsaid


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_and_what_the_page_embeds_are_as_it_says(name):
    recording = RECORDINGS[name]()
    plain, page = parsed(recording.to_json()), embedded(to_html(recording))
    VALIDATOR.validate(plain)
    VALIDATOR.validate(page)
    assert page.keys() - plain.keys() == {"formulas", "checks"}
    assert {key: page[key] for key in plain} == plain


def test_what_the_command_prints_is_as_it_says(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["step", "to be", "--n-layer", "1", "--json"])
    VALIDATOR.validate(parsed(capsys.readouterr().out))


def test_the_bytes_of_an_array_are_those_of_its_shape(recorded):
    width = {"f4": 4, "i4": 4, "b1": 1}
    arrays = [value["array"] for value in recorded["values"]] + [s["share"] for s in recorded["steps"] if "share" in s]
    for array in arrays:
        assert len(base64.b64decode(array["data"])) == width[array["dtype"]] * np.prod(array["shape"])


def test_ids_and_names_lead_somewhere(recorded):
    for kind in ("values", "calls"):
        assert [one["id"] for one in recorded[kind]] == list(range(len(recorded[kind])))
    functions = [function for op in recorded["ops"].values() for function in (op["forward"], op["backward"])]
    assert {function["file"] for function in functions} <= recorded["sources"].keys()
    assert {call["op"] for call in recorded["calls"]} == recorded["ops"].keys()


GONE = object()
BROKEN = {  # where a recording is changed, and what stands there then; a phase is the first step of it
    "schema": "tinyllm.trace/2",
    "steps": GONE,
    "extra": 1,
    "formulas": {"of_call": [], "kinds": [], "others": {}},  # without checks
    "meta.numpy": GONE,
    "meta.loss": "much",
    "text.tokens": GONE,
    "modules.0.kind": 3,
    "values.0.stats": {},
    "values.0.role": "weight",
    "values.0.gradient": 1,
    "values.0.array.data": [1, 2, 3],
    "values.0.array.data ": GONE,
    "values.0.array.data  ": "ä",
    "values.0.array.dtype": "f8",
    "values.0.array.shape": [-1],
    "ops.add.backward.results.0": [0, 3],
    "ops.add.backward.results.0 ": [3],
    "functions.forward": {},
    "calls.0.inputs.0": "x",
    "calls.0.saved.x": {"value": 1, "array": {}},
    "calls.0.places.0.end_line": GONE,
    "steps.0.phase": "sideways",
    "steps.forward.share": {"dtype": "f4", "shape": [], "data": ""},
    "steps.seed.after": GONE,
    "steps.backward.share": GONE,
    "steps.backward.nth": 0,
    "steps.backward.checksum": 2**32,
    "steps.clip.numbers.norm": GONE,
    "steps.update.after": GONE,
    "sources.tinyllm/nn/block·py.sha256": "abc",
}


def inside(part, key):
    """The place of `key` in a list or dict: a number, a name, or the first step of a phase."""
    if isinstance(part, list):
        return int(key) if key.isdigit() else next(i for i, step in enumerate(part) if step["phase"] == key)
    return key.replace("·", ".")


@pytest.mark.parametrize("where", BROKEN)
def test_a_broken_recording_is_refused(recorded, where):
    changed = part = copy.deepcopy(recorded)
    *way, last = where.strip().split(".")
    for key in way:
        part = part[inside(part, key)]
    if BROKEN[where] is GONE:
        del part[inside(part, last)]
    else:
        part[inside(part, last)] = BROKEN[where]
    assert not VALIDATOR.is_valid(changed)
