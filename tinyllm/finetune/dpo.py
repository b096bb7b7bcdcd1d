"""Direct preference optimization: pairs of answers teach the policy itself."""

from ..backend import number
from .adapted import frozen_copy
from .instruct import answer
from .log_probs import answer_log_probs
from .preference_losses import dpo_loss
from .preference_task import PreferenceTask
from .preferences import both, wins

SAMPLES = 4


class DPO(PreferenceTask):
    """A GPT learns Pairs with a frozen copy of itself beside it, as a DPOConfig says."""

    command = "finetune dpo"

    def __init__(self, config, pairs):
        super().__init__(config, pairs)
        self.reference = frozen_copy(self.model)

    def loss(self, model, ids, targets, last, margin, tie):
        rows = ids.reshape(-1, ids.shape[-1]), targets.reshape(-1, targets.shape[-1])  # (2B, T)
        with self.reference.evaluating():
            reference = both(answer_log_probs(self.reference, *rows).data.reshape(-1, 2))
        chosen, rejected = both(answer_log_probs(model, *rows).reshape(-1, 2))
        loss, r_chosen, r_rejected = dpo_loss(chosen, rejected, *reference, tie, self.config.beta)
        c, r = r_chosen.data, r_rejected.data
        return loss, {"accuracy": wins(c, r, tie), "margin": number((c - r).mean()),
                      "reward_chosen": number(c.mean()), "reward_rejected": number(r.mean()),
                      "log_p_chosen": number(chosen.data.mean()),
                      "log_p_rejected": number(rejected.data.mean())}  # fmt: skip

    def sample(self, state):
        texts = []
        for pair in self.val_pairs[:SAMPLES]:
            said = answer(state.model, self.tokenizer, self.template, pair.messages, self.config.seed)
            texts.append(f"> {pair.messages[-1].content} {pair.messages[-1].input}".rstrip() + f"\n{said.strip()}\n"
                         f"  [chosen: {pair.chosen}]\n  [rejected: {pair.rejected}]")  # fmt: skip
        return "\n".join(texts)
