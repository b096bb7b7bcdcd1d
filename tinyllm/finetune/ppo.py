"""Learning from rewards: PPO, and REINFORCE and GRPO on the same tries.

Each step: prompts → answers (rollout.py) → rewards, KL to the frozen reference, values, advantages (policy.py) →
a few epochs of minibatches.
"""

import math
import time
import warnings
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..backend import read_numbers
from ..data import DataLoader
from ..methods import Tensor
from ..training.build import build_optimizer
from ..training.progress import Progress, read_metrics
from ..training.readout import MOVED_ON, check_finite
from ..training.run import METRICS
from ..training.state import TrainState
from ..training.step import update
from ..training.task import Task
from .adapted import adapted, frozen_copy, save_tuned, tuned_arrays
from .advantages import adapted_coefficient
from .policy import ActorCritic, Tries, policy_loss
from .policy_plot import draw_policy
from .rewards import said_text
from .rollout import rollout

SAMPLES = 6
EVAL_SEED = 2**60  # far from the seeds of steps


class PolicyTask(Task):
    """A GPT learns to give answers with a high reward.

    base: (a GPT, its tokenizer, sha256 of its weights). prompts, val_prompts: lists of Prompt. reward(prompts,
    answers as ids) -> (B,) numbers. template: by which an answer is over; None draws max_new_tokens always.
    """

    command = "finetune ppo"
    why_no_graph = "a step reads what the policy has written"

    def __init__(self, config, base, prompts, val_prompts, reward, template, data_sha256=""):
        super().__init__(config)
        self.model = adapted(base[0], config.tune, config)
        self.reference = frozen_copy(self.model)
        self.base, self.prompts, self.val_prompts = base, prompts, val_prompts
        self.reward, self.template, self.data_sha256 = reward, template, data_sha256

    def initial_state(self):
        _, tokenizer, sha256 = self.base
        model = ActorCritic(self.model.train())
        memory = {"kl_coef": self.config.kl_coef}
        return TrainState(model, build_optimizer(self.config, model), tokenizer, self.data_sha256,
                          base_sha256=sha256, memory=memory)  # fmt: skip

    def batches(self, state):
        """The prompts of each step, in a new order each time they are through."""
        config = self.config
        size = config.rollout // (config.group_size if config.algorithm == "grpo" else 1)
        size = min(size, len(self.prompts))
        loader = DataLoader(self.prompts, size, shuffle=True, drop_last=True, collate_fn=list,
                            seed=config.seed)  # fmt: skip
        loader.load_state_dict(loader.state_dict() | dict(zip(("epoch", "batch"), divmod(state.step, len(loader)))))
        while True:
            yield from loader

    def step(self, state, batch, team=None):
        start, config = time.perf_counter(), self.config
        times = config.rollout // len(batch)  # a group for GRPO; else, where there are few prompts, several rounds
        prompts = [prompt for prompt in batch for _ in range(times)]
        seed = config.seed * 1_000_003 + state.step
        tries, answers = self.tries(state, prompts, seed)
        kl_coef = state.memory["kl_coef"]
        A, returns = tries.advantages(config, kl_coef)
        arrays = (tries.ids, tries.targets, tries.mask, tries.log_p, tries.reference_log_p, tries.values, A, returns)
        dtype = tries.log_p.dtype
        arrays = [a if a.dtype.kind == "i" else a.astype(dtype) for a in arrays]

        def loss_of(model, *arrays):
            return policy_loss(model, config, kl_coef, *arrays)

        updates = []
        if config.algorithm == "reinforce":  # its gradient is that of the policy that tried: one update alone
            config = replace(config, epochs=1, gradient_accumulation=len(prompts) // config.batch_size)
        for rows in minibatches(len(prompts), config.rows, config.epochs, seed):
            parts = [a[rows] for a in arrays]
            n = np.full(len(rows), tries.mask[rows].sum() / len(rows), dtype)
            updates.append(update(state, config, list(map(Tensor, [*parts, n])), loss_of))
        said = {name: float(np.mean([u[1][name] for u in updates])) for name in updates[0][1]}
        if config.algorithm == "ppo":
            said["explained_variance"] = explained_variance(tries.values, returns, tries.mask)
        said |= tries_metrics(tries, answers) | {"kl_coef": kl_coef}
        self.watch(state, said)
        if config.kl_target:
            state.memory["kl_coef"] = adapted_coefficient(kl_coef, said["kl"], config.kl_target, len(prompts))
        state.step += 1
        loss, norm = (float(np.mean(read_numbers([u[i] for u in updates]))) for i in (0, 2))
        check_finite(state.step, loss, norm, config, lambda: MOVED_ON)  # where a GPU was not asked at each update
        seconds = time.perf_counter() - start
        lr = state.optimizer.param_groups[0]["lr"]
        return Progress(state.step, loss, lr, norm, tries.ids.size / seconds, metrics=said)

    def answers(self, state, prompts, seed):
        stop = self.template and self.template.stop
        ids = [prompt.ids for prompt in prompts]
        return rollout(state.model.policy, state.tokenizer, ids, self.config.max_new_tokens, stop, seed)

    def tries(self, state, prompts, seed):
        """Tries of these prompts, and their answers as ids."""
        answers = self.answers(state, prompts, seed)
        scores = self.reward(prompts, answers)
        ids, at_once = [prompt.ids for prompt in prompts], self.config.batch_size
        return Tries.of(state.model, self.reference, ids, answers, scores, at_once), answers

    @cached_property
    def first_reward(self):
        """The mean reward on the prompts that are held out, before anything was learned."""
        before = TrainState(ActorCritic(self.reference), None, self.base[1], self.data_sha256)
        _, said = self.validate(before)
        return said["val_reward"]

    def watch(self, state, said):
        """Warn, once, where the reward rises while the policy runs away from what it started as."""
        first = state.memory.setdefault("first_reward", said["reward"])
        said["hacking"] = float(said["kl"] > self.config.kl_limit and said["reward"] > first)
        if said["hacking"] and not state.memory.get("warned"):
            state.memory["warned"] = 1
            warnings.warn(f"step {state.step + 1}: the reward rises ({first:.2f} → {said['reward']:.2f}) while the "
                          f"policy runs away from the model it started as ({said['kl']:.1f} nats an answer, more than "
                          f"--kl-limit {self.config.kl_limit:g}). Read what it writes: this is how a reward is hacked. "
                          "A larger --kl-coef, or a --kl-target, holds it; policy.png in the folder shows it",
                          stacklevel=2)  # fmt: skip

    def validate(self, state):
        """Minus the mean reward on prompts that are held out, so that lower is better."""
        tries, answers = self.tries(state, self.val_prompts, EVAL_SEED + self.config.seed)
        said = tries_metrics(tries, answers)
        return -said["reward"], {"val_reward": said["reward"], "val_kl": said["kl"]}

    def sample(self, state):
        prompts = self.val_prompts[:SAMPLES]
        answers = self.answers(state, prompts, EVAL_SEED + self.config.seed)
        said = [said_text(state.tokenizer, answer, self.template) for answer in answers]
        rewards = self.reward(prompts, answers)
        return "\n".join(f"> {prompt.text}\n{text.strip()}   [reward {reward:.2f}]"
                         for prompt, text, reward in zip(prompts, said, rewards))  # fmt: skip

    def save_model(self, model, folder):
        save_tuned(model.policy, folder, self.config.model)
        if self.template:
            self.template.save(folder)
        draw_policy(read_metrics(folder / METRICS), self.config.kl_limit, folder / "policy.png")

    def best_arrays(self, model):
        return tuned_arrays(model.policy)


def minibatches(n, size, epochs, seed):
    """Rows of each update: `epochs` times all n of them, in a new order each time."""
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n)
        yield from (order[i : i + size] for i in range(0, n, size))


def tries_metrics(tries, answers):
    """{name: number} about answers, whoever learns from them."""
    return {
        "reward": float(tries.scores.mean()),
        "reward_std": float(tries.scores.std()),
        "kl": float(tries.kl.mean()),
        "answer_tokens": float(np.mean([len(answer) for answer in answers])),
    }


def explained_variance(values, returns, mask):
    """1 − Var(R − V) / Var(R): 1 where the value head foretells all returns, 0 where it might as well not be there."""
    R, V = returns[mask > 0], values[mask > 0]
    return float(1 - (R - V).var() / max(R.var(), 1e-12)) if math.isfinite(R.var()) else math.nan
