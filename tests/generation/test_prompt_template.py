"""Templates with slots: few-shot prompts and chains of thought, for `generate` and `eval`."""

import json

import numpy as np
import pytest

from tinyllm.cli import main
from tinyllm.evaluation import answers_right
from tinyllm.generation.prompt_template import PROMPT_TEMPLATES, PromptTemplate, prompt_template
from tinyllm.generation.slots import check_slots, slots_of
from tinyllm.models import GPT, GPTConfig
from tinyllm.tokenizers import CharTokenizer

SHOTS = [{"question": "1+1", "answer": "2"}, {"question": "2+1", "answer": "3"}]


def test_examples_come_first():
    template = prompt_template("few-shot")
    assert template.prompt({"question": "3+{x}"}, SHOTS) == "Q: 1+1\nA: 2\n\nQ: 2+1\nA: 3\n\nQ: 3+{x}\nA:"
    assert template.prompt({"question": "3+1"}) == "Q: 3+1\nA:"
    assert (template.slots, template.stop) == (["question"], "\n\nQ:")
    assert template.expected({"question": "3+1", "answer": "4"}) == " 4"
    assert template.final(" 4") == " 4"


def test_a_chain_of_thought_is_judged_by_its_end():
    template = prompt_template("chain-of-thought")
    row = {"question": "3+1", "reasoning": "3 and 1.", "answer": "4"}
    assert template.prompt(row) == "Q: 3+1\nA: Let us think step by step."
    assert template.expected(row) == " 3 and 1. So the answer is 4."
    assert template.final(" 3, then 4. So the answer is 4.") == "4" == template.final(template.expected(row))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q: what?", "template t: what is asked has no slot"),
        ("Q: {a}\n---\nQ: {b}", "template t: the example lacks the slot {b} of what is asked"),
        ("Q: {a", "template t: expected '}' before end of string; write a brace that is none of a slot twice"),
        ("Q: {a.b}", "template t: {a.b} is no slot"),
        ("Q: {0}", "{0} is no slot"),
    ],
)
def test_a_template_without_its_slot_is_refused(text, message):
    with pytest.raises(ValueError) as caught:
        PromptTemplate.of(text, "t")
    assert message in str(caught.value)


def test_what_fills_a_slot_must_be_there():
    template = prompt_template("few-shot")
    with pytest.raises(ValueError, match=r"what is asked needs a text for its slot \{question\}; there is answer"):
        template.prompt({"answer": "2"})
    with pytest.raises(ValueError, match=r"example 2 needs a text for its slot \{answer\}"):
        template.prompt({"question": "2"}, [SHOTS[0], {"question": "1"}])
    with pytest.raises(ValueError, match="the example does not go on from what is asked"):
        PromptTemplate.of("{a} is {b}\n---\nwhat is {a}", "t").expected({"a": "x", "b": "y"})


def test_slots():
    assert slots_of("{a} {{no}} {b}{a}") == ["a", "b", "a"]
    check_slots("user", "{a}", {"a"})
    with pytest.raises(ValueError, match=r"the template's user lacks its slot \{b\}"):
        check_slots("user", "{a}", {"a", "b"})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model that knows the characters, and answers nothing right."""
    folder = tmp_path_factory.mktemp("run")
    tokenizer = CharTokenizer.train("".join(PROMPT_TEMPLATES.values()) + "0123456789+")
    GPT(GPTConfig(tokenizer.vocab_size, 64, 1, 1, 8), seed=0).save_pretrained(folder)
    tokenizer.save(folder)
    rows = [*SHOTS, {"question": "2+2", "answer": "4"}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def tinyllm(capsys, *arguments):
    """What a command prints; "error" last: it is to leave with exit code 2."""
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments if a != "error"])
    assert (left.value.code or 0) == (2 if "error" in arguments else 0)
    return capsys.readouterr()


def test_generate_with_a_template(run, capsys):
    out = tinyllm(capsys, "generate", run, "--template", "few-shot", "--slot", "question=2+2", "--shots",
                  run / "rows.jsonl", "--max-new-tokens", 5).out  # fmt: skip
    assert out.startswith("Q: 1+1\nA: 2\n\nQ: 2+1\nA: 3\n\nQ: 2+2\nA: 4\n\nQ: 2+2\nA:")
    err = tinyllm(capsys, "generate", run, "--template", "few-shot", "error").err
    assert "what is asked needs a text for its slot {question}" in err and "Traceback" not in err
    err = tinyllm(capsys, "generate", run, "--template", "few-shot", "--slot", "x=1", "error").err
    assert "--slot x: template few-shot asks with question" in err
    err = tinyllm(capsys, "generate", run, "--slot", "question=1", "error").err
    assert "--slot and --shots fill a --template" in err


def test_eval_with_a_template(run, capsys):
    where = ("--data", run / "rows.jsonl", "--max-new-tokens", 4)
    found = json.loads(tinyllm(capsys, "eval", run, "--template", "few-shot", *where, "--shots", 2, "--json").out)
    assert (found["questions"], found["shots"]) == (1, 2) and found["accuracy"] in (0, 1)
    assert "accuracy" in tinyllm(capsys, "eval", run, "--template", "few-shot", *where, "--shots", 1).out
    err = tinyllm(capsys, "eval", run, "--template", "few-shot", *where, "error").err
    assert "--shots 3 shows them all" in err
    err = tinyllm(capsys, "eval", run, "--template", "chain-of-thought", *where, "--shots", 0, "error").err
    assert "rows.jsonl, line 1: " in err and "{reasoning}" in err
    err = tinyllm(capsys, "eval", run, "--template", "few-sho", *where, "error").err
    assert "there is no template 'few-sho'; choose few-shot, chain-of-thought" in err


def test_a_right_answer_counts():
    tokenizer = CharTokenizer("Q: \nA0123456789+.")
    model = GPT(GPTConfig(tokenizer.vocab_size, 64, 1, 1, 8), seed=0)
    written = iter(" 4\n\nQ:")
    model.new_cache = lambda batch, length: _Says(model, tokenizer, written)
    row = {"question": "2+2", "answer": "4"}
    right, prompt, said = answers_right(model, tokenizer, prompt_template("few-shot"), row, SHOTS, 10)
    assert right and said == " 4" and prompt.endswith("Q: 2+2\nA:")


class _Says:
    """A cache whose scores spell a text."""

    def __init__(self, model, tokenizer, written):
        self.model, self.tokenizer, self.written = model, tokenizer, written

    def __call__(self, ids):
        scores = np.zeros((1, self.tokenizer.vocab_size))
        scores[0, self.tokenizer.encode(next(self.written))[0]] = 1
        return scores


def test_a_row_without_an_answer_is_named_before_any_is_asked(run, capsys, monkeypatch):
    monkeypatch.setattr("tinyllm.evaluation.answers_right", lambda *how: pytest.fail("a question was asked"))
    (run / "empty.json").write_text(json.dumps([*SHOTS, {"question": "2+2", "answer": " "}]))
    flags = "--template", "few-shot", "--data", str(run / "empty.json"), "--shots", "1"
    with pytest.raises(SystemExit) as left:
        main(["eval", str(run), *flags])
    assert left.value.code == 2
    assert "empty.json, row 3: template few-shot: a row has an empty text for its slot {answer}" in (
        capsys.readouterr().err)  # fmt: skip
