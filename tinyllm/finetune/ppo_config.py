"""Everything that decides `tinyllm finetune ppo`. Loads no numpy."""

from dataclasses import dataclass

from .config import AdaptableConfig


@dataclass(frozen=True)
class PPOConfig(AdaptableConfig):
    data: str | None = None
    "JSON or JSONL file with the prompts, in a layout of `finetune instruct`; by default words to sort."
    reward: str = "sorted"
    "sorted, ascending, positive, FILE.py:FUNCTION (prompt, answer -> number), or the folder of a reward model."
    algorithm: str = "ppo"
    "ppo, reinforce (with a baseline) or grpo."
    batch_size: int = 16
    "Answers that an update is made of, one minibatch; REINFORCE makes one update of all answers of a step."
    rollout: int = 64
    "Answers that are drawn for a step."
    epochs: int = 2
    "How often an update sees each answer."
    group_size: int = 8
    "GRPO: answers to each prompt, which are compared with each other."
    max_new_tokens: int = 24
    "Longest answer, in tokens."
    kl_coef: float = 0.05
    "Price of a nat of KL divergence to the model that it starts from."
    kl_target: float | None = None
    "Nats an answer that kl_coef is adapted to; by default it stays as it is."
    kl_limit: float = 10.0
    "Nats an answer above which a rising reward is taken for reward hacking, and warned of."
    clip: float = 0.2
    "PPO, GRPO: how far a token's probability may move in a step, as a fraction."
    value_clip: float = 0.2
    "PPO: how far a value may move in a step."
    value_coef: float = 0.1
    "PPO: weight of the value head's loss."
    entropy_coef: float = 0.0
    "PPO: weight of the policy's entropy, which is made larger."
    gamma: float = 1.0
    "PPO: what a reward one token later is worth."
    lam: float = 0.95
    "PPO: GAE's λ; 1 waits for the reward, 0 trusts the value head."
    max_iters: int = 100
    "Steps, each with answers of its own."
    learning_rate: float = 3e-4
    "Highest learning rate, reached after the warm-up."
    weight_decay: float = 0.0
    "AdamW: pull of matrices towards 0."
    eval_interval: int = 20
    "Steps between two evaluations on prompts that are held out, each with a checkpoint and a sample."

    def __post_init__(self):
        super().__post_init__()
        self._require("algorithm", self.algorithm in ("ppo", "reinforce", "grpo"), "ppo, reinforce or grpo")
        for name in ("rollout", "epochs", "max_new_tokens"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("group_size", self.group_size >= 2, "2 or more")
        for name in ("kl_coef", "value_coef", "entropy_coef"):
            self._require(name, 0 <= getattr(self, name) < float("inf"), "0 or more")
        for name in ("kl_target", "kl_limit", "value_clip"):
            self._require(name, getattr(self, name) is None or getattr(self, name) > 0, "more than 0")
        self._require("clip", 0 < self.clip < 1, "between 0 and 1")
        for name in ("gamma", "lam"):
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._require("rollout", self.rollout % self.rows == 0 and self.rollout > 1,
                      f"a multiple of the {self.rows} answers of an update (--batch-size · --gradient-accumulation)")
        if self.algorithm == "grpo":
            self._require("rollout", self.rollout % self.group_size == 0, f"a multiple of --group-size "
                          f"{self.group_size}")
