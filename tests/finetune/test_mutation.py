"""Do the tests of the losses and of the adapters notice a wrong line? Break each in turn, and see one turn red."""

import random

import pytest

from tests import mutation
from tests.finetune import test_alignment_losses as losses
from tests.finetune import test_classifier as classifier
from tests.finetune import test_conversations as conversations
from tests.finetune import test_forgetting as forgetting
from tests.finetune import test_lora as lora
from tinyllm import nn
from tinyllm.finetune import advantages, fisher, log_probs, packing, policy_losses, preference_losses
from tinyllm.finetune.bottleneck import Bottleneck
from tinyllm.finetune.classifier import Classifier
from tinyllm.finetune.lora import LoRA
from tinyllm.finetune.soft_prompt import PromptedCache, SoftPrompt


def inner(test):
    return test.hypothesis.inner_test


def of_seeds(test, *more, n=4):
    return [lambda seed=seed: inner(test)(seed, *more) for seed in range(n)]


PPO = of_seeds(losses.test_ppo_on_a_fixed_rollout, 0.2)
DPO = of_seeds(losses.test_dpo, 0.7)
PAIRS = of_seeds(losses.test_bradley_terry)
TRIES = of_seeds(losses.test_reinforce_and_grpo_on_a_fixed_rollout)
PACKED = [conversations.test_dropout_falls_on_a_packed_row_as_on_the_row,
          lambda: inner(conversations.test_padding_packing_and_order_change_nothing)(
              [("ab", "d"), ("c", "effd"), ("abca", "de")], 2, random.Random(0))]  # fmt: skip
LABELS = [lambda p=p, w=w: inner(classifier.test_loss_and_gradients_are_torchs)(p, [3, 2, 5, 1], w, True, 1)
          for p in classifier.PROBLEMS for w in (0.7, 0.0)]  # fmt: skip
LABELS += [classifier.test_where_a_text_ends_may_be_a_tensor]
MERGED = [lambda apart=apart: inner(
    lora.test_merged_weights_give_the_same_logits_and_unmerging_restores_the_bits)(2, 6.0, apart, "*")
    for apart in (False, True)]  # fmt: skip
APART = [*MERGED, lora.test_q_k_and_v_apart_are_three_adapters,
         lambda: lora.test_both_layouts_are_merged(nn.Linear(4, 7))]  # fmt: skip
PROMPT = [lora.test_a_soft_prompt_of_tokens_is_those_tokens,
          lambda: inner(lora.test_the_cache_of_a_soft_prompt_gives_its_scores)(2, 3, 0)]  # fmt: skip
CHECKS = {
    policy_losses.masked_mean: PPO, policy_losses.clipped_policy_loss: PPO, policy_losses.clipped_value_loss: PPO,
    policy_losses.entropy: PPO, policy_losses.reinforce_loss: TRIES, policy_losses.grpo_loss: TRIES,
    policy_losses.whiten: [losses.test_whitening_counts_what_the_mask_counts],
    preference_losses.bradley_terry_loss: PAIRS, preference_losses.win_loss: PAIRS, preference_losses.dpo_loss: DPO,
    log_probs.token_log_probs: DPO, log_probs.answer_log_probs: DPO,
    advantages.gae: of_seeds(losses.test_gae_is_its_definition, 2, 4, 0.9, 0.8),
    advantages.leave_one_out: of_seeds(losses.test_baselines, 4),
    advantages.in_groups: of_seeds(losses.test_baselines, 4),
    advantages.adapted_coefficient: [losses.test_the_kl_coefficient_is_adapted_within_a_fifth],
    fisher.penalty: [forgetting.test_the_penalty_and_its_gradients_are_torchs],
    packing.packed_hidden: PACKED, packing.packed_loss: PACKED, packing.attention: PACKED, packing.mask: PACKED,
    Classifier.judge: LABELS, Classifier.loss: LABELS, Classifier.losses: LABELS,
    LoRA.forward: APART, LoRA.delta: APART, Bottleneck.forward: [lora.test_a_bottleneck_is_its_formula],
    SoftPrompt.prompted: PROMPT, SoftPrompt.hidden: PROMPT, PromptedCache.forward: PROMPT,
}  # fmt: skip

EQUIVALENT = {  # what computes the same, and why
    "penalty": {"moved = -(p - anchor[name])"},  # it is squared
    "packed_hidden": {"pass"},  # lengths are arrays of no dimension on a GPU alone
    "Classifier.loss": {"of_tokens = ops.cross_entropy(logits.transpose(2, 1), next_ids, reduction='none')"},
    "Classifier.judge": {"pass", "last = last"},  # numpy's module is found for a Tensor, too
    "LoRA.forward": {  # one part is what all parts together are, and 0 is what split has without an axis
        "if self.parts == 2:",
        "pairs = zip(ops.split(u, self.rank, axis=-1), ops.split(self.lora_B.weight, rows))",
    },
}

def notices(checks):
    for check in checks:
        try:
            check()
        except Exception:
            return True
    return False


@pytest.mark.parametrize("function", CHECKS, ids=lambda function: function.__qualname__)
def test_every_broken_line_is_noticed(function):
    checks = CHECKS[function]
    assert not notices(checks)
    survivors = []
    for mutant in mutation.mutants(function):
        with mutation.in_place(mutant):
            if not notices(checks):
                survivors.append((mutant.original, mutant.mutated))
    assert {mutated for _, mutated in survivors} == EQUIVALENT.get(function.__qualname__, set()), survivors
