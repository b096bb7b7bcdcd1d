"""A GPT with a classification head on the last token, in PyTorch."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Classifier(nn.Module):
    """Names are those of Hugging Face's GPT2ForSequenceClassification."""

    def __init__(self, gpt, n_outputs, problem):
        super().__init__()
        self.transformer, self.problem = gpt, problem
        self.score = nn.Linear(gpt.config.n_embd, n_outputs, bias=False)

    def forward(self, ids, last):
        return self.score(self.transformer.hidden(ids)[torch.arange(len(last)), last])

    def loss(self, ids, last, targets, weights, next_ids, lm_weight=0.0):
        """Each text's own loss, weighted, and lm_weight times the mean loss of its tokens."""
        logits = self(ids, last)
        if self.problem == "single-label":
            losses = F.cross_entropy(logits, targets, reduction="none")
        elif self.problem == "multi-label":
            losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        else:
            losses = F.mse_loss(logits, targets, reduction="none").mean(1)
        losses = losses * weights
        if lm_weight:
            scores = self.transformer(ids)
            of_texts = [F.cross_entropy(s[:n], t[:n]) if n else s.sum() * 0 for s, t, n in zip(scores, next_ids, last)]
            losses = losses + lm_weight * torch.stack(of_texts)
        return losses.mean()
