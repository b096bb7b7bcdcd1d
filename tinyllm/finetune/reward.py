"""The reward model: a number for an answer, learned from which of two was preferred."""

import numpy as np

from ..backend import number
from ..ops.activation import sigmoid_forward
from .classifier import Classifier
from .predict import predict
from .preference_losses import bradley_terry_loss
from .preference_task import PreferenceTask
from .preferences import both, wins


class RewardModel(PreferenceTask):
    """A Classifier with one output, the reward of a conversation, read at its last token."""

    command = "finetune reward"

    def __init__(self, config, pairs):
        super().__init__(config, pairs)
        self.model = Classifier(self.model, 1, "regression", config.seed)
        self.model.labels = {"label_mean": 0.0, "label_std": 1.0}  # rewards are what they are

    def loss(self, model, ids, targets, last, margin, tie):
        rewards = model(ids.reshape(-1, ids.shape[-1]), last.reshape(-1)).reshape(-1, 2)
        chosen, rejected = both(rewards)
        loss = bradley_terry_loss(chosen, rejected, margin, tie)
        c, r = chosen.data, rejected.data
        return loss, {"accuracy": wins(c, r, tie), "margin": number((c - r).mean())}

    def calibration(self, model, bins=5):
        """How often is the chosen answer the better one, where the model says so with a probability of p?

        Rows (from, to, pairs, mean probability, share that won) over the pairs that are held out; each pair is asked
        for in both orders, so the rows mirror each other and those from 0.5 on say it all.
        """
        rows = [row for row in self.val_rows if not row.tie]
        if not rows:
            return []
        r = predict(model, [answer.ids for row in rows for answer in (row.chosen, row.rejected)])
        difference = (r[0::2] - r[1::2])[:, 0]
        return calibration_table(difference, bins)


def calibration_table(difference, bins=5):
    """difference (N,): reward of the chosen answer minus that of the rejected one. See RewardModel.calibration."""
    sure = sigmoid_forward(np.abs(difference).astype(float))[0]  # how sure the model is of whom it takes for better
    right = np.where(difference == 0, 0.5, difference > 0)
    edges, table = np.linspace(0.5, 1, bins + 1), []
    for low, high in zip(edges, edges[1:]):
        inside = (sure >= low) & ((sure < high) | (high == 1))
        if inside.any():
            table.append((low, high, int(inside.sum()), float(sure[inside].mean()), float(right[inside].mean())))
    return table
