"""Whole steps of every method, loss, clipping and AdamW, against `reference/`: all that learns, number by number."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import reference.adapters
import reference.classifier
import reference.ewc
import reference.finetuning as theirs_
import reference.gpt
from reference.training import configure_optimizer, update
from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig
from tinyllm.finetune.chat_template import TEMPLATES
from tinyllm.finetune.dpo import DPO
from tinyllm.finetune.forgetting import NewTask
from tinyllm.finetune.forgetting_config import ForgettingConfig
from tinyllm.finetune.instruct import InstructionTuning
from tinyllm.finetune.instruct_config import InstructConfig
from tinyllm.finetune.ppo import PolicyTask, minibatches
from tinyllm.finetune.ppo_config import PPOConfig
from tinyllm.finetune.preference_config import DPOConfig, RewardConfig
from tinyllm.finetune.prompts import make_prompts
from tinyllm.finetune.reward import RewardModel
from tinyllm.finetune.words import word_pairs, word_tasks, words_to_sort
from tinyllm.tokenizers import CharTokenizer
from tinyllm.training.corpus import Corpus
from tinyllm.training.step import learning_rate

STEPS = 4
RUN = {"max_iters": STEPS, "warmup_iters": 1, "batch_size": 4, "learning_rate": 1e-2, "dtype": "float64", "workers": 1}
TOKENIZER = CharTokenizer.train("".join(map(chr, range(32, 127))) + "\n")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of a model whose every weight is random, the biases and norms too.

    Keys have no bias: softmax does not see it, its gradient is rounding alone, of which AdamW makes whole steps.
    """
    folder, rng = tmp_path_factory.mktemp("base"), np.random.default_rng(0)
    config = GPTConfig(vocab_size=TOKENIZER.vocab_size, block_size=48, n_layer=2, n_head=2, n_embd=8,
                       qkv_bias=False)  # fmt: skip
    model = GPT(config, dtype="float64")
    for p in model.parameters():
        p.data = 0.3 * rng.standard_normal(p.shape)
    for folder_writer in (model.save_pretrained, TOKENIZER.save, TEMPLATES["chat"].save):
        folder_writer(folder)
    return folder


def torch_gpt(folder):
    ours = GPT.from_pretrained(folder)
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(ours.config))).double()
    theirs.load_state_dict({name: torch.tensor(p.data) for name, p in ours.named_parameters()})
    return theirs


class Beside:
    """torch's model beside ours, moved by torch's losses."""

    def __init__(self, task, theirs):
        self.task, self.theirs, self.config = task, theirs, task.config
        self.state = task.initial_state()
        betas = self.config.beta1, self.config.beta2
        self.optimizer = configure_optimizer(theirs, 0.0, betas, self.config.weight_decay)

    def move(self, loss, step):
        return update(self.theirs, self.optimizer, loss, learning_rate(self.config, step), self.config.grad_clip)

    def hold(self, loss_of):
        """Make STEPS steps with both; loss_of(their model, a batch as torch tensors) is their loss."""
        stream = self.task.batches(self.state)
        for step in range(STEPS):
            batch = next(stream)
            progress = self.task.step(self.state, batch)
            loss, norm = self.move(loss_of(self.theirs, *(torch.tensor(x.data) for x in batch)), step)
            assert progress.loss == pytest.approx(loss, rel=1e-10)
            assert progress.grad_norm == pytest.approx(norm, rel=1e-9)
            self.compare()

    def compare(self):
        theirs = {name: p for name, p in self.theirs.named_parameters() if p.requires_grad}
        ours = dict(self.state.learned())
        assert set(ours) == set(theirs)
        for name, p in ours.items():
            assert_close(name, p.data, theirs[name].detach().numpy(), 1e-10)


@pytest.mark.parametrize("packing", [False, True])
def test_instruct(base, packing):
    task = InstructionTuning(InstructConfig(model=str(base), packing=packing, **RUN), word_tasks(30))
    Beside(task, torch_gpt(base)).hold(lambda model, ids, targets, *_: model.loss(ids, targets))


def random_adapters(model, theirs):
    """Both get the same adapters, of which none is 0 any more."""
    rng, learned = np.random.default_rng(3), {n: p for n, p in model.named_parameters() if p.requires_grad}
    beside = {name: p for name, p in theirs.named_parameters() if p.requires_grad}
    assert set(learned) == set(beside)
    for name, p in learned.items():
        p.data = 0.3 * rng.standard_normal(p.shape)
        beside[name].data = torch.tensor(p.data)
    return theirs


WAYS = {"lora": {"lora_rank": 2, "lora_alpha": 3.0}, "lora, q, k and v apart": {"lora_rank": 2, "lora_qkv_apart": True},
        "bottleneck": {"bottleneck_size": 3}, "soft-prompt": {"prompt_length": 4}}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_is_put_beside_a_model(base, way):
    config = InstructConfig(model=str(base), tune=way.partition(",")[0], **WAYS[way], **RUN)
    task = InstructionTuning(config, word_tasks(30))
    theirs = random_adapters(task.model, reference.adapters.adapt(torch_gpt(base), config.tune, config))
    Beside(task, theirs).hold(lambda model, ids, targets, *_: model.loss(ids, targets))


def test_dpo_through_adapters(base):
    config = DPOConfig(model=str(base), tune="lora", beta=0.3, **RUN)
    task, theirs = DPO(config, pairs()), reference.adapters.adapt(torch_gpt(base), "lora", config)
    frozen = torch_gpt(base)  # B begins at 0: the reference is the model without adapters
    with torch.no_grad():
        for name, p in task.model.named_parameters():
            if p.requires_grad:
                theirs.get_parameter(name).copy_(torch.tensor(p.data))

    def loss(model, ids, targets, last, margin, tie):
        chosen, rejected = ((ids[:, i], targets[:, i]) for i in (0, 1))
        return theirs_.dpo_loss(model, frozen, chosen, rejected, tie, 0.3)

    Beside(task, theirs).hold(loss)


def pairs():
    """With margins, and ties."""
    return [replace(pair, margin=0.25 * (i % 3), tie=i % 5 == 0) for i, pair in enumerate(word_pairs(30))]


def test_dpo(base):
    frozen = torch_gpt(base)

    def loss(model, ids, targets, last, margin, tie):
        chosen, rejected = ((ids[:, i], targets[:, i]) for i in (0, 1))
        return theirs_.dpo_loss(model, frozen, chosen, rejected, tie, 0.3)

    Beside(DPO(DPOConfig(model=str(base), beta=0.3, **RUN), pairs()), torch_gpt(base)).hold(loss)


def test_reward(base):
    task = RewardModel(RewardConfig(model=str(base), **RUN), pairs())
    theirs = reference.classifier.Classifier(torch_gpt(base), 1, "regression").double()
    theirs.score.weight.data = torch.tensor(task.model.score.weight.data)

    def loss(model, ids, targets, last, margin, tie):
        rewards = model(ids.flatten(0, 1), last.flatten()).view(-1, 2)
        return theirs_.bradley_terry_loss(rewards[:, 0], rewards[:, 1], margin, tie)

    Beside(task, theirs).hold(loss)


def policy_task(base, **options):
    config = PPOConfig(model=str(base), rollout=8, max_new_tokens=6, kl_coef=0.2, kl_target=0.5, **RUN | options)
    prompts, _ = make_prompts(words_to_sort(12), TEMPLATES["chat"], TOKENIZER, 48, config.max_new_tokens)
    scores = np.random.default_rng(5).standard_normal(1000)

    def reward(prompts, answers):
        return scores[[int(sum(answer)) % 1000 for answer in answers]]

    return PolicyTask(config, (GPT.from_pretrained(base).train(), TOKENIZER, ""), prompts[2:], prompts[:2], reward,
                      TEMPLATES["chat"])  # fmt: skip


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "grpo"])
def test_policies_on_the_rollouts_that_they_made(base, algorithm, monkeypatch):
    """Two epochs of minibatches a step, with what was thought of each answer, GAE, entropy and the KL's own rate."""
    task = policy_task(base, algorithm=algorithm, group_size=4, entropy_coef=0.02, value_coef=0.3, clip=0.05,
                       value_clip=0.1)  # fmt: skip
    frozen, both, config = torch_gpt(base), Beside(task, theirs_.ActorCritic(torch_gpt(base)).double()), task.config
    rng = np.random.default_rng(7)
    for name, p in both.state.model.value.named_parameters():
        p.data = rng.standard_normal(p.shape)
        getattr(both.theirs.value, name).data = torch.tensor(p.data)
    made, draw = [], task.tries
    monkeypatch.setattr(task, "tries", lambda *how: made.append(draw(*how)) or made[-1])
    stream = task.batches(both.state)
    for step in range(STEPS):
        kl_coef = both.state.memory["kl_coef"]
        progress = task.step(both.state, next(stream))
        tries, _ = made[-1]
        ids, targets, scores = map(torch.tensor, (tries.ids, tries.targets, tries.scores))
        batch = theirs_.thoughts(both.theirs, frozen, ids, targets)
        batch["advantages"], batch["returns"] = advantages(config, batch, scores, kl_coef)
        one_update = algorithm == "reinforce"
        rows = minibatches(8, 8 if one_update else 4, 1 if one_update else 2, config.seed * 1_000_003 + step)
        losses = [both.move(policy_loss(config, both.theirs, {n: x[r] for n, x in batch.items()}, kl_coef), step)
                  for r in rows]  # fmt: skip
        assert len(losses) == (1 if one_update else 4)
        assert progress.loss == pytest.approx(np.mean([loss for loss, _ in losses]), rel=1e-9, abs=1e-11)
        both.compare()


def advantages(config, batch, scores, kl_coef):
    if config.algorithm == "ppo":
        return theirs_.gae(batch, scores, kl_coef, config.gamma, config.lam)
    if config.algorithm == "reinforce":
        worth = scores - kl_coef * (batch["old_log_p"] - batch["reference_log_p"]).sum(1)
        A = torch.stack([x - torch.cat([worth[:i], worth[i + 1 :]]).mean() for i, x in enumerate(worth)])
    else:
        groups = scores.view(-1, config.group_size)
        spread = groups.std(1, unbiased=False, keepdim=True) + 1e-4
        A = ((groups - groups.mean(1, keepdim=True)) / spread).flatten()
    return A[:, None] * batch["mask"], batch["mask"]


def policy_loss(config, model, batch, kl_coef):
    logits, values = model(batch["ids"])
    if config.algorithm == "ppo":
        policy, _, entropy = theirs_.ppo_terms(logits, values, batch, config.clip)
        _, value, _ = theirs_.ppo_terms(logits, values, batch, config.value_clip)
        return policy + config.value_coef * value - config.entropy_coef * entropy
    log_p = torch.log_softmax(logits, -1).gather(-1, batch["targets"][..., None])[..., 0]
    A, mask = batch["advantages"], batch["mask"]
    if config.algorithm == "reinforce":
        return theirs_.reinforce_loss(log_p, A, mask)
    return theirs_.grpo_loss(log_p, batch["old_log_p"], batch["reference_log_p"], A, mask, config.clip, kl_coef)


def test_elastic_weight_consolidation(base):
    config = ForgettingConfig(model=str(base), block_size=12, fisher_windows=3, ewc_lambda=7.0, **RUN)
    old, new = (Corpus.of(text, 12, TOKENIZER) for text in ("a cat on a mat. " * 20, "abc cba bca " * 30))
    task = NewTask(config, "ewc", base, old, new)
    task.information = {n: 1 + np.random.default_rng(1).random(p.shape) for n, p in task.model.named_parameters()}
    given = [{n: torch.tensor(x) for n, x in arrays.items()} for arrays in (task.information, task.anchor)]

    def loss(model, ids, targets):
        return model.loss(ids, targets) + reference.ewc.penalty(model, *given, 7.0)

    Beside(task, torch_gpt(base)).hold(loss)
