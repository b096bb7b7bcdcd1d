"""Conversations from files, as text, as ids of which the answers are learned, and as batches."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_gpt_equals_torch import random_weights
from tinyllm import GPT, GPTConfig
from tinyllm.finetune.chat_template import TEMPLATES, ChatTemplate, read_template, template_named
from tinyllm.finetune.conversations import Message, read_conversations, read_pairs
from tinyllm.finetune.examples import IGNORED, Example, Unfit, collate, encode, encode_all
from tinyllm.finetune.packing import packed_hidden, packed_loss
from tinyllm.finetune.preferences import encode_pairs
from tinyllm.finetune.prompts import make_prompts
from tinyllm.random import dropout_step
from tinyllm.tokenizers import CharTokenizer

DIALOGUE = (Message("user", "add", "1 2"), Message("assistant", "3"))


def written(tmp_path, rows, name="data.json"):
    path = tmp_path / name
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(lines if name.endswith("l") else json.dumps(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"instruction": "add", "input": "1 2", "output": "3"}, DIALOGUE),
        ({"instruction": "问", "output": "答"}, (Message("user", "问"), Message("assistant", "答"))),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                       {"role": "assistant", "content": "a"}]},
         (Message("system", "s"), Message("user", "q"), Message("assistant", "a"))),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
         (Message("user", "q"), Message("assistant", "a"))),
        ({"prompt": "q", "completion": "a"}, (Message("user", "q"), Message("assistant", "a"))),
        ({"question": "q", "answer": "a"}, (Message("user", "q"), Message("assistant", "a"))),
    ],
)  # fmt: skip
def test_the_common_layouts(tmp_path, name, row, messages):
    assert [c.messages for c in read_conversations(written(tmp_path, [row, row], name))] == [messages] * 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"instruction": "a", "output": "b"}, {"instruction": "a", "output": " "}], "row 2: output is empty"),
        ([{"prompt": "a", "completion": "b \ud800"}], "row 1: completion has half of a character"),
        ([{"instruction": "a", "output": 3}], "row 1: output must be a text, not a int"),
        ([{"text": "a"}], "row 1 has text; it must have instruction and output, messages"),
        ([["a"]], "row 1 must be an object, not a list"),
        ([], "holds no rows"),
        ([{"messages": [{"role": "user", "content": "a"}]}], "row 1: user and assistant must take turns"),
        ([{"messages": [{"role": "robot", "content": "a"}]}], "the role of message 1 is 'robot'"),
        ([{"messages": []}], "row 1: messages must be a list of messages"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_conversations(written(tmp_path, rows))


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n\n{"prompt"')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 3 is not JSON"):
        read_conversations(path)
    (tmp_path / "a.json").write_text('{"prompt": "a", "completion": "b"}')
    with pytest.raises(ValueError, match="must be a list of objects, not a dict; one object a line is a .jsonl"):
        read_conversations(tmp_path / "a.json")


def test_pairs(tmp_path):
    rows = [{"instruction": "q", "input": "i", "output": "x", "chosen": "good", "rejected": "bad", "margin": 2},
            {"prompt": "q", "chosen": "a", "rejected": "a", "tie": True},
            {"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
             "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}]}]  # fmt: skip
    first, tie, listed = read_pairs(written(tmp_path, rows))
    assert (first.messages, first.chosen, first.rejected, first.margin) == ((Message("user", "q", "i"),), "good",
                                                                            "bad", 2.0)  # fmt: skip
    assert tie.tie and not first.tie and listed.messages == (Message("user", "q"),) and listed.rejected == "bad"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "row 1: chosen and rejected are equal; take such pairs out"),
        ({"prompt": "q", "chosen": "a"}, "row 1 has no rejected"),
        ({"prompt": "q", "chosen": "a", "rejected": ""}, "row 1: rejected is empty"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "margin": -1}, "margin must be a number from 0 on"),
        ({"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
          "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]},
         "row 1: chosen and rejected answer different messages"),
    ],
)  # fmt: skip
def test_a_pair_that_is_none_is_named(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_pairs(written(tmp_path, [row]))


def test_pairs_of_which_none_is_better_are_nothing_to_learn(tmp_path):
    path = written(tmp_path, [{"prompt": "q", "chosen": "a", "rejected": "b", "tie": True}] * 3)
    with pytest.raises(ValueError, match="data.json: no row has an answer that is better .* all 3 are ties"):
        read_pairs(path)


# templates


def test_a_conversation_as_text():
    text = "".join(part for part, _ in TEMPLATES["alpaca"].parts(DIALOGUE))
    assert text.endswith("### Instruction:\nadd\n\n### Input:\n1 2\n\n### Response:\n3\n\n### End\n\n")
    learned = [part for part, learned in TEMPLATES["chat"].parts((*DIALOGUE, *DIALOGUE)) if learned]
    assert learned == [" 3\nUser:"] * 2
    text = "".join(part for part, _ in TEMPLATES["chat"].parts((*DIALOGUE, *DIALOGUE)))
    assert text == "User: add\n1 2\nAssistant: 3\nUser: add\n1 2\nAssistant: 3\nUser:"
    [(asked, learned)] = TEMPLATES["chatml"].parts([Message("system", "s"), Message("user", "q {x}")])
    assert not learned and asked == ("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq {x}<|im_end|>\n"
                                     "<|im_start|>assistant\n")  # fmt: skip


def test_a_template_of_ones_own(tmp_path):
    TEMPLATES["chat"].save(tmp_path)
    path = tmp_path / "chat_template.json"
    assert template_named(str(path)) == read_template(path) == TEMPLATES["chat"]
    fields = json.loads(path.read_text())
    for change, message in [
        ({"user": " {input}"}, "user lacks its slot {content}"),
        ({"user": " {content}{input}{name}"}, "user has a slot {name} that nothing fills"),
        ({"answer": "{content"}, "answer: expected '}' before end of string"),
        ({"answer": "{content!r}"}, "{content} is no slot"),
        ({"end": "\n"}, "end is empty"),
        ({"more": ""}, "see more"),
    ]:
        path.write_text(json.dumps(fields | change))
        with pytest.raises(ValueError, match="chat_template.json") as caught:
            read_template(path)
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="there is no template 'alpacka'; choose alpaca, chat, chatml"):
        template_named("alpacka")


# ids

LETTERS = CharTokenizer.train("User: Assistant:\nabcd 0123456789")
PLAIN = ChatTemplate(begin="", system="{content}", user="{content}{input}", input="{content}", assistant=":",
                     answer="{content}", end="\n.")  # fmt: skip
PLAIN_TOKENS = CharTokenizer.train("abcdefghij:\n.")


def example(question, answer, block_size=99, **options):
    messages = Message("user", question), Message("assistant", answer)
    return encode(messages, PLAIN, PLAIN_TOKENS, block_size, "row 1", **options)


def test_only_the_answer_and_its_end_are_learned():
    found = example("ab", "cd")
    assert PLAIN_TOKENS.decode(found.ids) == "ab:cd\n"
    assert (found.targets[:2] == IGNORED).all() and PLAIN_TOKENS.decode(found.targets[2:]) == "cd\n."
    assert PLAIN_TOKENS.decode(example("ab", "cd", learn_all=True).targets) == "b:cd\n."


def test_what_is_too_long_is_cut_and_left_out_where_nothing_remains():
    assert PLAIN_TOKENS.decode(example("ab", "cdef", block_size=4).ids) == "ab:c"
    with pytest.raises(Unfit, match="row 1: the answer begins after 2 tokens"):
        example("ab", "cd", block_size=2)


def test_rows_that_do_not_fit_are_counted(tmp_path):
    rows = [{"prompt": "a" * n, "completion": "b"} for n in (1, 9, 2)]
    conversations = read_conversations(written(tmp_path, rows))
    found, left_out = encode_all(conversations, PLAIN, PLAIN_TOKENS, 5)
    assert (len(found), left_out) == (2, 1)
    with pytest.raises(ValueError, match="row 2: the answer begins after 5 tokens.*so it is with all rows"):
        encode_all(conversations[1:2], PLAIN, PLAIN_TOKENS, 5)


def test_what_ends_answers_may_stand_in_none():
    with pytest.raises(ValueError, match=r"row 1: an answer has '\\n\.' in it"):
        example("a", "b\n.c")


def test_a_character_that_the_model_does_not_know_is_told_with_its_row():
    with pytest.raises(ValueError, match="row 1: encode: 'z'"):
        example("a", "z")


def test_unknown_characters_are_counted_before_anything_is_learned(tmp_path):
    rows = read_conversations(written(tmp_path, [{"prompt": "a", "completion": c} for c in "bzcy"]))
    with pytest.raises(ValueError, match=r"data.json, row 2: encode: 'z' .* So it is with 2 of 4 rows: take them out"):
        encode_all(rows, PLAIN, PLAIN_TOKENS, 9)
    pairs = read_pairs(written(tmp_path, [{"prompt": "a", "chosen": "b", "rejected": c} for c in "cz"]))
    with pytest.raises(ValueError, match="row 2: encode: 'z' .* with 1 of 2 rows"):
        encode_pairs(pairs, PLAIN, PLAIN_TOKENS, 9)
    with pytest.raises(ValueError, match="row 2: encode: 'z' .* with 1 of 1 rows"):
        make_prompts(rows[1:2], ChatTemplate(**vars(PLAIN) | {"user": "z{content}{input}"}), PLAIN_TOKENS, 9, 2)


# batches

examples = st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), st.text("def", min_size=1, max_size=6)),
                    min_size=1, max_size=5)  # fmt: skip
MODEL = GPT(GPTConfig(vocab_size=PLAIN_TOKENS.vocab_size, block_size=20, n_layer=2, n_head=2, n_embd=8),
            dtype="float64")  # fmt: skip
MODEL.load_state_dict(random_weights(MODEL.config, np.random.default_rng(0)))


def loss_and_gradients(loss):
    MODEL.zero_grad()
    loss.backward()
    return [loss.item(), *(p.grad.copy() for p in MODEL.parameters())]


def assert_same(a, b, bound=1e-12):
    for x, y in zip(a, b, strict=True):
        assert np.abs(np.asarray(x) - y).max() <= bound * max(1, np.abs(y).max())


@settings(max_examples=25)
@given(examples, st.integers(0, 4), st.randoms(use_true_random=False))
def test_padding_packing_and_order_change_nothing(rows, more, random):
    rows = [example(*row) for row in rows]
    ids, targets, lengths = collate(rows)
    padded = loss_and_gradients(MODEL.loss(ids, targets))
    assert_same(loss_and_gradients(packed_loss(MODEL, ids, targets, lengths)), padded)
    wider = [np.pad(a, ((0, 0), (0, more)), constant_values=v) for a, v in ((ids, 5), (targets, IGNORED))]
    assert_same(loss_and_gradients(MODEL.loss(*wider)), padded)
    random.shuffle(rows)
    assert_same(loss_and_gradients(MODEL.loss(*collate(rows)[:2])), padded)
    alone = [MODEL.loss(e.ids[None], e.targets[None]).item() * (e.targets != IGNORED).sum() for e in rows]
    assert sum(alone) / (targets != IGNORED).sum() == pytest.approx(padded[0], abs=1e-12)


def test_dropout_falls_on_a_packed_row_as_on_the_row():
    model = GPT(replace(MODEL.config, dropout=0.4), dtype="float64")
    model.load_state_dict(MODEL.state_dict())
    ids = np.array([[1, 5, 2, 3, 7]])
    with dropout_step(3, 0):
        expected = model.hidden(ids).data
    with dropout_step(3, 0):
        assert_same(packed_hidden(model, ids, np.array([5])).data, expected)
    assert packed_hidden(model, np.concatenate([ids, ids]), np.array([5, 3])).shape == (1, 8, 8)


def test_a_batch_has_one_width():
    rows = [Example(np.array([3, 4]), np.array([4, 5])), Example(np.array([7]), np.array([8]))]
    ids, targets, lengths = collate(rows)
    assert ids.tolist() == [[3, 4], [7, 0]] and lengths.tolist() == [2, 1]
    assert targets.tolist() == [[4, 5], [8, IGNORED]]


@pytest.mark.skipif("TINYLLM_DATA" not in os.environ, reason="TINYLLM_DATA names no folder with instructions")
def test_real_files_are_read():
    folder = Path(os.environ["TINYLLM_DATA"], "instruct")
    assert len(read_conversations(folder / "instruction-data.json")) == 1100
    chinese = read_conversations(folder / "alpaca_zh_demo.json")
    texts = ["".join(text for text, _ in TEMPLATES["chat"].parts(c.messages)) for c in chinese]
    tokenizer = CharTokenizer.train("".join(texts))
    found, left_out = encode_all(chinese, TEMPLATES["chat"], tokenizer, 256)
    assert len(found) + left_out == 1000 and len(found) > 900
    preferences = folder / "instruction-data-with-preference.json"
    with pytest.raises(ValueError, match="row 123: chosen and rejected are equal, as in 5 more rows, the last row 677"):
        read_pairs(preferences)
    assert sum(pair.tie for pair in read_pairs(preferences, equal_is_tie=True)) == 6
