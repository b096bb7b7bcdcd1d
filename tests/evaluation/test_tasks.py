"""Questions are put together and counted as lm-evaluation-harness does it, by hand on a model small enough for that."""

import json
import math

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig
from tinyllm.evaluation import TASKS, log_probs, read_questions, score_choices
from tinyllm.evaluation.tasks import Question
from tinyllm.tokenizers import CharTokenizer

TEXT = " .:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TOKENIZER = CharTokenizer(TEXT)
MODEL = GPT(GPTConfig(vocab_size=len(TEXT), block_size=32, n_layer=1, n_head=2, n_embd=8), seed=1, dtype="float64")
for p in MODEL.parameters():
    p.data = p.data + 0.3 * np.random.default_rng(p.data.size).standard_normal(p.shape)

SWAG = {"ind": 4, "activity_label": "Removing ice", "ctx_a": "A man [substeps] waits.", "ctx_b": "then he",
        "ctx": "of no interest", "endings": ["sleeps", "[step] scrapes  ice", "x", "Goes [title] Home"], "label": "3"}


def by_hand(context, choice):
    """Σ log p of a choice, one token after the other."""
    ids = TOKENIZER.encode(context + choice)
    total, greedy = 0.0, True
    for i in range(len(ids) - len(choice), len(ids)):
        seen = ids[max(0, len(ids) - 33) : i]
        found, likeliest = log_probs(MODEL, seen[None], np.array([[-100] * (len(seen) - 1) + [ids[i]]]))
        total, greedy = total + found.sum(), greedy and likeliest[0, -1]
    return total, greedy


@pytest.mark.parametrize("context", ["ab", "a long story that goes far beyond what it can see"])
def test_a_choice_is_scored_token_by_token(context):
    question = Question(context, (" yes", " no", " a longer way to say it"), 0)
    sums, likeliest = score_choices(MODEL, TOKENIZER, question)
    expected = [by_hand(context, choice) for choice in question.choices]
    np.testing.assert_allclose(sums, [total for total, _ in expected], rtol=1e-10)
    assert list(likeliest) == [greedy for _, greedy in expected]


def test_a_word_that_the_model_would_write_itself_is_the_likeliest():
    written = TOKENIZER.decode(MODEL.generate(TOKENIZER.encode("ab"), 3, temperature=0).numpy())[2:]
    assert score_choices(MODEL, TOKENIZER, Question("ab", (written,), 0))[1][0]
    assert not score_choices(MODEL, TOKENIZER, Question("ab", (written[:-1] + "q",), 0))[1][0]


def test_a_space_at_the_end_of_the_context_belongs_to_the_choice():
    together = score_choices(MODEL, TOKENIZER, Question("ab ", ("yes",), 0))[0]
    assert together == pytest.approx(score_choices(MODEL, TOKENIZER, Question("ab", (" yes",), 0))[0])


@pytest.mark.parametrize("question", [Question("", (" a",), 0), Question("a", ("",), 0), Question("a", ("b" * 33,), 0)])
def test_what_cannot_be_scored(question):
    with pytest.raises(ValueError, match="each must have one or more, a choice at most block_size=32"):
        score_choices(MODEL, TOKENIZER, question)


def write(path, *entries):
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))
    return [path]


def test_hellaswag_is_put_together_as_the_harness_does(tmp_path):
    [question, _] = read_questions("hellaswag", write(tmp_path / "h.jsonl", SWAG, "", {**SWAG, "label": 0}))
    assert question.context == "Removing ice: A man waits. Then he"
    assert question.choices == (" sleeps", "  scrapes ice", " x", " Goes. Home") and question.answer == 3


def test_hellaswag_counts_both_ways():
    questions = [Question("c", (" a", " bbbb"), 0), Question("c", (" a", " bbbb"), 1), Question("c", (" a", " b"), 1)]
    scores = [(np.array([-2.0, -4.0]), None), (np.array([-2.0, -4.0]), None), (np.array([-2.0, -1.0]), None)]
    found = TASKS["hellaswag"].score(questions, scores)
    assert found["acc"] == pytest.approx(2 / 3), "right, wrong, right"
    assert found["acc_norm"] == pytest.approx(2 / 3), "wrong, right, right: -1 a character is more than -2"
    assert found["acc_stderr"] == pytest.approx(np.std([1, 0, 1], ddof=1) / math.sqrt(3))


def test_lambada_splits_off_the_last_word(tmp_path):
    [question] = read_questions("lambada", write(tmp_path / "l.jsonl", {"text": "she said hello to  Gabriel"}))
    assert question == Question("she said hello to ", (" Gabriel",), 0)


def test_lambada_counts_words_that_are_right_as_a_whole():
    scores = [(np.array([-1.0]), np.array([True])), (np.array([-3.0]), np.array([False]))]
    found = TASKS["lambada"].score([None, None], scores)
    assert found["acc"] == 0.5 and found["perplexity"] == pytest.approx(math.exp(2))


def test_the_first_questions_of_several_files(tmp_path):
    paths = write(tmp_path / "a", {"text": "a b"}, {"text": "c d"})
    paths += write(tmp_path / "b", {"text": "e f"}, {"text": "no question"})
    assert [q.context for q in read_questions("lambada", paths, limit=3)] == ["a", "c", "e"]


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        ("lambada", "{", "line 2 is no question of lambada: {\"text\": passage} (JSONDecodeError"),
        ("lambada", "[" * 100_000, "is no question of lambada"),
        ("lambada", "[1]", "TypeError"),
        ("lambada", '{"txt": "a b"}', "KeyError: 'text'"),
        ("lambada", '{"text": 5}', "AttributeError"),
        ("lambada", '{"text": "word"}', "the text must be two words or more"),
        ("lambada", '{"text": "two "}', "the text must be two words or more"),
        ("hellaswag", json.dumps({**SWAG, "label": ""}), '"label": which is right} (ValueError: invalid'),
        ("hellaswag", json.dumps({**SWAG, "label": 4}), "there is no ending 4"),
        ("hellaswag", json.dumps({**SWAG, "label": -1}), "there is no ending -1"),
        ("hellaswag", json.dumps({**SWAG, "endings": ""}), "there is no ending"),
        ("hellaswag", json.dumps({**SWAG, "endings": [1, 2, 3, 4]}), "AttributeError"),
        ("hellaswag", json.dumps({"text": "a b"}), "KeyError: 'activity_label'"),
    ],
)
def test_lines_that_are_no_question(tmp_path, task, line, message):
    with pytest.raises(ValueError) as error:
        read_questions(task, write(tmp_path / "q", "", line))
    assert str(error.value).startswith(f"{tmp_path}/q, line 2 is no question of {task}: ")
    assert message in str(error.value)


def test_a_file_without_questions(tmp_path):
    with pytest.raises(ValueError, match="no questions there"):
        read_questions("lambada", write(tmp_path / "q", "", " "))
