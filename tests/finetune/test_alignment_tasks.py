"""Instructions, rewards, DPO and policies as tasks of the one loop: they learn, and go on to the bit."""

import json
import math
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tinyllm.backend import to_numpy
from tinyllm.finetune.base import load_base
from tinyllm.finetune.chat_template import TEMPLATES, template_of
from tinyllm.finetune.dpo import DPO
from tinyllm.finetune.freeze import count
from tinyllm.finetune.instruct import InstructionTuning, answer, split
from tinyllm.finetune.instruct_config import InstructConfig
from tinyllm.finetune.loading import load_model
from tinyllm.finetune.policy import ActorCritic, Tries
from tinyllm.finetune.ppo import PolicyTask
from tinyllm.finetune.ppo_config import PPOConfig
from tinyllm.finetune.predict import load_classifier
from tinyllm.finetune.preference_config import DPOConfig, RewardConfig
from tinyllm.finetune.prompts import make_prompts
from tinyllm.finetune.reward import RewardModel, calibration_table
from tinyllm.finetune.rewards import (
    REWARDS,
    FunctionReward,
    ModelReward,
    Prompt,
    ascending,
    in_order,
    positive,
    reward_named,
)
from tinyllm.finetune.rollout import rollout
from tinyllm.finetune.words import word_pairs, word_tasks, words_to_sort
from tinyllm.models.tensor_file import read_tensors
from tinyllm.training.loop import run_task
from tinyllm.training.progress import read_metrics
from tinyllm.training.run import load_run

SMALL = {"max_iters": 6, "eval_interval": 3, "workers": 1, "batch_size": 4}
INSTRUCT = InstructConfig(n_layer=1, n_embd=16, block_size=48, warmup_iters=1, **SMALL)
TASKS = word_tasks(60)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The folder of a model that has learned a little."""
    folder = tmp_path_factory.mktemp("instruct")
    run_task(InstructionTuning(INSTRUCT, TASKS), folder)
    return folder


def instruct(tuned, **options):
    return InstructionTuning(replace(INSTRUCT, **{"model": str(tuned)} if "tune" in options else {}, **options), TASKS)


def dpo(tuned, **options):
    return DPO(DPOConfig(model=str(tuned), **{**SMALL, **options}), word_pairs(40))


def reward(tuned, **options):
    return RewardModel(RewardConfig(model=str(tuned), **{**SMALL, **options}), word_pairs(40))


def policy(tuned, judge=in_order, **options):
    config = PPOConfig(model=str(tuned), **{**SMALL, "rollout": 8, "max_new_tokens": 8, "kl_target": 0.5, **options})
    base, template = load_base(config.model, config), template_of(tuned)
    prompts, _ = make_prompts(words_to_sort(20), template, base[1], base[0].block_size, config.max_new_tokens)
    scores = FunctionReward(judge, "judge", base[1], template)
    return PolicyTask(config, base, prompts[4:], prompts[:4], scores, template)


MAKERS = [instruct, dpo, reward, policy, partial(policy, algorithm="grpo", group_size=4),
          partial(policy, algorithm="reinforce")]  # fmt: skip
NAMES = ["instruct", "dpo", "reward", "ppo", "grpo", "reinforce"]


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(make, tuned, tmp_path):
    run_task(make(tuned), tmp_path / "whole")
    stops = iter([False, False, False, True])
    run_task(make(tuned), tmp_path / "stopped", should_stop=lambda: next(stops))
    run_task(make(tuned), tmp_path / "stopped", resume=True)
    files = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {"model.safetensors", "best.safetensors", "chat_template.json", "config.toml"} <= files
    for name in files - {"metrics.jsonl", ".lock"}:
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    a, b = (read_metrics(tmp_path / folder / "metrics.jsonl") for folder in ("whole", "stopped"))
    drop = lambda rows: [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in rows]
    assert drop(a) == drop(b) and len(a) == 6


@pytest.mark.parametrize("make", [instruct, dpo, reward, partial(policy, epochs=1)],
                         ids=["instruct", "dpo", "reward", "ppo"])  # fmt: skip
def test_into_how_many_parts_a_batch_is_cut_changes_nothing(make, tuned):
    def gradients(**options):
        task = make(tuned, dtype="float64", grad_clip=0.0, **options)
        state, kept = task.initial_state(), {}
        state.optimizer.step = lambda: kept.update({n: p.grad.copy() for n, p in state.learned() if p.grad is not None})
        progress = task.step(state, next(task.batches(state)))
        return progress.loss, kept

    one, a = gradients(batch_size=8)
    two, b = gradients(batch_size=4, gradient_accumulation=2)
    assert one == pytest.approx(two, rel=1e-10)
    for name in a:
        assert np.allclose(a[name], b[name], rtol=1e-9, atol=1e-12), name


def test_packing_learns_the_same(tuned):
    losses = [instruct(tuned, packing=packing, dtype="float64") for packing in (False, True)]
    found = []
    for task in losses:
        state = task.initial_state()
        stream = task.batches(state)
        found.append([task.step(state, next(stream)).loss for _ in range(4)])
    assert np.allclose(*found, rtol=1e-9)


def test_the_unmasked_variant_learns_the_questions_too(tuned):
    masked, whole = instruct(tuned), instruct(tuned, learn_all=True)
    counts = [(task.train_examples[0].targets != -100).sum() for task in (masked, whole)]
    assert counts[0] < counts[1] == len(whole.train_examples[0].ids)


def test_what_was_learned_is_there_to_talk_with(tuned):
    assert template_of(tuned) == TEMPLATES["chat"]
    model, tokenizer = load_run(tuned)
    said = answer(model, tokenizer, TEMPLATES["chat"], TASKS[0].messages[:1], max_new_tokens=5)
    assert isinstance(said, str) and TEMPLATES["chat"].stop not in said


def test_the_split_is_seeded_and_whole():
    held, kept = split(list(range(30)), 0.1, 7)
    assert sorted(held + kept) == list(range(30)) and len(held) == 3 and split(list(range(30)), 0.1, 7)[0] == held
    with pytest.raises(ValueError, match="one row alone"):
        split([1], 0.1, 0)


# preferences


def test_dpo_begins_at_ln_2_and_logs_margins(tuned):
    task = dpo(tuned)
    state = task.initial_state()
    progress = task.step(state, next(task.batches(state)))
    assert progress.loss == float(np.float32(math.log(2)))
    assert progress.metrics["margin"] == 0 and progress.metrics["reward_chosen"] == 0
    before = {name: array.copy() for name, array in task.reference.state_dict().items()}
    stream = task.batches(state)
    for _ in range(5):
        progress = task.step(state, next(stream))
    assert progress.metrics["margin"] > 0
    assert all(np.array_equal(before[name], array) for name, array in task.reference.state_dict().items())


def test_a_reward_model_learns_and_says_how_sure_it_is(tuned):
    task = RewardModel(RewardConfig(model=str(tuned), workers=1, max_iters=40, learning_rate=1e-2), word_pairs(60))
    state = task.initial_state()
    stream = task.batches(state)
    losses = [task.step(state, next(stream)).loss for _ in range(40)]
    assert losses[0] == pytest.approx(math.log(2), abs=0.05) and np.mean(losses[-5:]) < 0.6
    table = task.calibration(state.model)
    assert sum(row[2] for row in table) == len(task.val_rows)


def test_a_table_of_ties_alone_is_empty(tuned):
    task = reward(tuned)
    task.val_rows = [replace(row, tie=True) for row in task.val_rows]
    assert task.calibration(task.model) == []


def test_calibration():
    logit = lambda p: math.log(p / (1 - p))
    table = calibration_table(np.array([logit(0.55), -logit(0.55), logit(0.95), 40.0, 0.0]))
    assert [(round(low, 1), n) for low, _, n, *_ in table] == [(0.5, 3), (0.9, 2)]
    assert table[0][4] == pytest.approx(0.5) and table[1][4] == 1


def test_a_preference_needs_a_model():
    with pytest.raises(ValueError, match="there is no model to start from; give --model"):
        DPO(DPOConfig(), word_pairs(4))


# policies


def test_a_rollout_is_what_the_model_draws_row_by_row(tuned):
    model, tokenizer = load_run(tuned)
    prompts = [tokenizer.encode(text) for text in ("User: Sort bca\nAssistant:", "User: Sort hgab\nAssistant:") * 2]
    answers = rollout(model, tokenizer, prompts, 7, seed=3)
    assert [len(a) for a in answers] == [7] * 4
    again = rollout(model, tokenizer, prompts[1::2], 7, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(again, answers[1::2])), "prompts of other lengths are apart"
    stopped = rollout(model, tokenizer, prompts, 7, stop=tokenizer.decode(answers[0][2:4]), seed=3)
    assert len(stopped[0]) <= 4 and np.array_equal(stopped[0], answers[0][: len(stopped[0])])


def test_old_log_probabilities_are_those_of_the_policy(tuned):
    task = policy(tuned)
    state = task.initial_state()
    tries, answers = task.tries(state, task.prompts[:8], seed=1)
    assert np.array_equal(tries.log_p, tries.reference_log_p) and (tries.kl == 0).all()
    assert tries.mask.sum() == sum(map(len, answers)) and (tries.values == 0).all()
    ids, model = task.prompts[0].ids, state.model.policy
    row = np.concatenate((ids, answers[0]))
    with model.evaluating():
        logits = to_numpy(model(row[None, :-1]).data)[0].astype(float)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = log_p[np.arange(len(ids) - 1, len(row) - 1), answers[0]]
    assert np.allclose(tries.log_p[0][tries.mask[0] > 0], expected, atol=1e-5)


def test_how_many_tries_are_thought_of_at_once_changes_nothing(tuned):
    task = policy(tuned, dtype="float64")
    state = task.initial_state()
    prompts = [prompt.ids for prompt in task.prompts[:5]]
    how = state.model, task.reference, prompts, task.answers(state, task.prompts[:5], 1), np.zeros(5)
    one, two = (Tries.of(*how, at_once=n) for n in (5, 2))
    for name in ("ids", "mask", "log_p", "reference_log_p", "values"):
        assert np.allclose(getattr(one, name), getattr(two, name), atol=1e-12), name


def test_a_first_step_is_at_the_ratio_of_one(tuned):
    task = policy(tuned, epochs=1, batch_size=8, learning_rate=0.0)
    state = task.initial_state()
    said = task.step(state, next(task.batches(state))).metrics
    assert said["clip_fraction"] == 0 and abs(said["approx_kl"]) < 1e-9 and said["kl"] == 0
    assert {"reward", "entropy", "policy_loss", "value_loss", "explained_variance", "kl_coef"} <= set(said)
    assert state.memory["kl_coef"] < 0.05, "0 nats is below the target"


def test_hacking_is_warned_of_once(tuned):
    task = policy(tuned, judge=ascending, kl_limit=1e-6)
    state = task.initial_state()
    state.memory["first_reward"] = -1.0
    said = {"reward": 1.0, "kl": 0.5}
    with pytest.warns(UserWarning, match="the reward rises .*this is how a reward is hacked"):
        task.watch(state, said)
    task.watch(state, said)
    assert said["hacking"] == 1.0
    task.watch(state, said := {"reward": -2.0, "kl": 0.5})
    assert said["hacking"] == 0.0


def test_the_value_head_begins_with_nothing_and_learns(tuned):
    task = policy(tuned)
    state = task.initial_state()
    stream = task.batches(state)
    for _ in range(3):
        task.step(state, next(stream))
    assert isinstance(state.model, ActorCritic) and np.abs(state.model.value.weight.data).max() > 0


# rewards


def test_the_rewards_can_be_checked_by_hand():
    assert in_order("Sort cab", " abc") == 1 and in_order("Sort cab", "acb") == pytest.approx(1 / 3)
    assert in_order("Sort cab", "abcabc") == 0.5, "what is too much costs"
    assert ascending("", "abc") == 1 and ascending("", "aaaa") == 1 and ascending("", "cba") == 0
    assert positive("", "A good, bad and nice day") == pytest.approx(1 / 6) and positive("", "") == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda q, a: 1 / 0, "the reward f of row 3, 'Sort ba', for the answer ' ab': ZeroDivisionError"),
        (lambda q, a: sys.exit(), "row 3.* SystemExit"),
        (lambda q, a: math.nan, "row 3.* is nan; it must be a finite number"),
        (lambda q, a: "good", "row 3.* is 'good'; it must be a finite number"),
        (lambda q, a: True, "row 3.* is True; it must be a finite number"),
    ],
)
def test_a_reward_that_is_none_is_told_with_its_row(tuned, function, message):
    _, tokenizer = load_run(tuned)
    prompts = [Prompt(np.array([0]), "Sort ba", "row 3")]
    with pytest.raises(ValueError, match=message):
        FunctionReward(function, "f", tokenizer, TEMPLATES["chat"])(prompts, [tokenizer.encode(" ab\nUser:")])


def test_a_reward_of_ones_own(tuned, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def length(question, answer):\n    return len(answer)\nx = 3\n")
    _, tokenizer = load_run(tuned)
    prompts = [Prompt(np.array([0]), "Sort ba", "row 3")]
    mine = reward_named(f"{path}:length", tokenizer, TEMPLATES["chat"])
    assert mine(prompts, [tokenizer.encode("abc\nUser:")]).tolist() == [3.0]
    for name, message in [
        (f"{path}:x", "defines no function 'x'"),
        (f"{tmp_path}/no.py:f", "no such file"),
        ("sortd", f"there is no reward 'sortd'; choose {', '.join(REWARDS)}"),
    ]:
        with pytest.raises((ValueError, OSError), match=message):
            reward_named(name, tokenizer, TEMPLATES["chat"])
    path.write_text("1 / 0")
    with pytest.raises(ValueError, match="mine.py: ZeroDivisionError"):
        reward_named(f"{path}:length", tokenizer, TEMPLATES["chat"])


def test_a_reward_model_judges_answers_as_it_learned_to(tuned, tmp_path):
    task = reward(tuned)
    run_task(task, tmp_path / "reward")
    _, tokenizer = load_run(tuned)
    template = TEMPLATES["chat"]
    judge = reward_named(str(tmp_path / "reward"), tokenizer, template)
    assert isinstance(judge, ModelReward)
    pair, row = task.val_pairs[0], task.val_rows[0]
    asked = np.concatenate([tokenizer.encode(text) for text, _ in template.parts(pair.messages)])
    said = tokenizer.encode(template.answer.format(content=pair.chosen) + template.end)
    expected = judge.model(row.chosen.ids[None], np.array([len(row.chosen.ids) - 1])).item()
    assert judge([Prompt(asked, "", "")], [said])[0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="has another tokenizer than the policy"):
        from tinyllm.tokenizers import CharTokenizer
        reward_named(str(tmp_path / "reward"), CharTokenizer("ab"), template)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "pg"}, "--algorithm must be ppo, reinforce or grpo, not pg"),
        ({"rollout": 50}, "--rollout must be a multiple of the 16 answers of an update"),
        ({"algorithm": "grpo", "group_size": 24}, "--rollout must be a multiple of --group-size 24"),
        ({"clip": 0.0}, "--clip must be between 0 and 1"),
        ({"kl_target": 0.0}, "--kl-target must be more than 0"),
        ({"lam": 1.5}, "--lam must be from 0 to 1"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PPOConfig(**change)


def test_prompts_without_room_for_an_answer_are_left_out(tuned):
    _, tokenizer = load_run(tuned)
    words = words_to_sort(10)
    with pytest.raises(ValueError, match="10 of 10 prompts leave no room"):
        make_prompts(words, TEMPLATES["chat"], tokenizer, 20, 8)


@pytest.mark.parametrize("tune", ["lora", "bottleneck", "soft-prompt"])
@pytest.mark.parametrize("make", [instruct, dpo, reward, policy], ids=["instruct", "dpo", "reward", "ppo"])
def test_what_is_put_beside_a_model_learns_alone_and_is_kept_alone(make, tune, tuned, tmp_path):
    task = make(tuned, tune=tune, max_iters=2, eval_interval=2)
    state = run_task(task, tmp_path)
    learned = state.model.policy if make is policy else state.model
    names = {name for name, p in learned.named_parameters() if p.requires_grad}
    parts = {"lora": (".lora_A.weight", ".lora_B.weight"), "soft-prompt": ("prompt",),
             "bottleneck": (".down.weight", ".down.bias", ".up.weight", ".up.bias")}[tune]  # fmt: skip
    assert names and all(name.endswith((*parts, "score.weight")) for name in names)
    kept = {path.name for path in tmp_path.iterdir()}
    assert "adapter_model.safetensors" in kept and "model.safetensors" not in kept
    for name in ("adapter_model.safetensors", "best.safetensors"):
        assert sum(a.size for a in read_tensors(tmp_path / name).values()) == count(learned)[1]
    load = load_classifier if make is reward else load_model
    again = load(tmp_path)[0]
    prompt, last = np.array([[1, 2, 3, 4]]), (np.array([3]),) if make is reward else ()
    with learned.evaluating():
        assert np.allclose(again(prompt, *last).data, learned(prompt, *last).data, atol=1e-5)
    load(tmp_path, best=True)


@pytest.mark.parametrize("tune", ["lora", "bottleneck", "soft-prompt"])
def test_a_run_of_adapters_goes_on_to_the_bit(tune, tuned, tmp_path):
    options = {"tune": tune, "dropout": 0.1} | ({"lora_dropout": 0.2} if tune == "lora" else {})
    run_task(dpo(tuned, **options), tmp_path / "whole")
    stops = iter([False, True])
    run_task(dpo(tuned, **options), tmp_path / "stopped", should_stop=lambda: next(stops))
    run_task(dpo(tuned, **options), tmp_path / "stopped", resume=True)
    for name in ("adapter_model.safetensors", "best.safetensors", "training_state.safetensors", "adapter_config.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_with_a_soft_prompt_dpo_and_ppo_begin_at_the_model_with_that_prompt(tuned):
    judge = lambda question, answer: sum(map(ord, answer)) % 7
    for task in (dpo(tuned, tune="soft-prompt", prompt_length=3), policy(tuned, judge, tune="soft-prompt")):
        state = task.initial_state()
        progress = task.step(state, next(task.batches(state)))
        said = progress.metrics
        assert said["kl"] == 0 if "kl" in said else progress.loss == float(np.float32(math.log(2)))
        assert task.reference.h is not task.model.h and task.reference.wte.weight is task.model.wte.weight
        assert not np.array_equal(task.reference.prompt.data, task.model.prompt.data), "the frozen one stays"


def test_a_reward_model_is_no_model_to_tune_or_to_talk_with(tuned, tmp_path):
    run_task(reward(tuned), tmp_path / "run")
    for use in (lambda: dpo(tmp_path / "run"), lambda: load_model(tmp_path / "run")):
        with pytest.raises(ValueError, match="holds a model that judges texts, and writes none"):
            use()
    with pytest.raises(FileNotFoundError, match="there is no model in .*nowhere; give the folder of a run"):
        dpo(tmp_path / "nowhere")


def test_adapters_of_other_weights_are_refused(tuned, tmp_path):
    run_task(dpo(tuned, tune="bottleneck"), tmp_path / "run")
    with pytest.raises(ValueError, match="more parts than a GPT has"):
        dpo(tmp_path / "run")
    config = json.loads((tmp_path / "run/adapter_config.json").read_text())
    other = tmp_path / "other"
    model, tokenizer = load_run(tuned)
    model.wpe.weight.data = model.wpe.weight.data + 1
    model.save_pretrained(other)
    for base, message in ((other, "are not those that it was tuned from"), (tmp_path / "no", "which is not there")):
        (tmp_path / "run/adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(base)}))
        with pytest.raises((ValueError, OSError), match=message):
            load_model(tmp_path / "run")
