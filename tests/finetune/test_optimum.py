"""Where the best policy is known in closed form, the algorithms find it.

Of all policies, π*(y) = π_ref(y) e^(r(y)/β) / Z has the largest J(π) = E r − β KL(π‖π_ref), and that is β log Z. With 3
tokens and answers of 3, all 27 answers can be counted: J of the model is computed exactly, not estimated.
"""

from itertools import product

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig
from tinyllm.finetune.log_probs import answer_log_probs
from tinyllm.finetune.ppo import PolicyTask
from tinyllm.finetune.ppo_config import PPOConfig
from tinyllm.finetune.rewards import Prompt
from tinyllm.finetune.rollout import as_example
from tinyllm.observe import no_grad
from tinyllm.tokenizers import CharTokenizer

BETA = 0.3
PROMPT = Prompt(np.array([0]), "a", "prompt 1")
ANSWERS = [np.array(answer) for answer in product(range(3), repeat=3)]
SCORES = np.random.default_rng(3).normal(size=27)
TOKENIZER = CharTokenizer("abc")


def base():
    model = GPT(GPTConfig(vocab_size=3, block_size=4, n_layer=1, n_head=2, n_embd=16), seed=1)
    model.load_state_dict({name: 5 * a if "wte" in name else a for name, a in model.state_dict().items()})
    return model


def reward(prompts, answers):
    return SCORES[np.array(answers) @ (9, 3, 1)]


def log_probs(model):
    rows = [as_example(PROMPT.ids, answer) for answer in ANSWERS]
    with no_grad():
        ids, targets = (np.stack([getattr(row, name) for row in rows]) for name in ("ids", "targets"))
        return answer_log_probs(model, ids, targets).data.astype(float)


def objective(log_p, reference):
    p = np.exp(log_p)
    return (p * (SCORES - BETA * (log_p - reference))).sum()


def task(algorithm, **options):
    config = PPOConfig(algorithm=algorithm, kl_coef=BETA, max_new_tokens=3, rollout=128, batch_size=32, warmup_iters=0,
                       value_clip=10.0, **options)  # fmt: skip
    return PolicyTask(config, (base(), TOKENIZER, None), [PROMPT], [PROMPT] * 8, reward, None)


def learned(task):
    state = task.initial_state()
    stream = task.batches(state)
    for _ in range(task.config.max_iters):
        progress = task.step(state, next(stream))
    return state, progress


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ppo", {"max_iters": 120, "learning_rate": 3e-3, "epochs": 2, "lam": 1.0}),
        ("reinforce", {"max_iters": 200, "learning_rate": 3e-3}),
    ],
)
def test_the_best_policy_is_reached(algorithm, options):
    reference = log_probs(base())
    best = BETA * np.log(np.exp(reference + SCORES / BETA).sum())
    state, _ = learned(task(algorithm, **options))
    found = log_probs(state.model.policy)
    start = objective(reference, reference)
    gain = (objective(found, reference) - start) / (best - start)
    assert gain > 0.98, "2 % of what there is to gain, at most, is left"
    assert objective(found, reference) <= best + 1e-6


def test_grpo_finds_high_rewards_too():
    """Its advantages are in units of their own spread, and its penalty is another estimate: its optimum is not π*."""
    reference = log_probs(base())
    state, _ = learned(task("grpo", max_iters=60, learning_rate=3e-3, epochs=2, group_size=16))
    before, after = ((np.exp(log_p) * SCORES).sum() for log_p in (reference, log_probs(state.model.policy)))
    assert after - before > 0.7 * (SCORES.max() - before)
