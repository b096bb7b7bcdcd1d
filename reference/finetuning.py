"""The losses of fine-tuning in PyTorch: answers alone, pairs of answers, and a policy's own tries."""

import torch
import torch.nn.functional as F


def answer_log_probs(model, ids, targets):
    """(B, T) each, targets of -100 left out: the log-probability of every answer (B,)."""
    log_p = torch.log_softmax(model(ids), dim=-1)
    return (log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * (targets != -100)).sum(-1)


def bradley_terry_loss(chosen, rejected, margin, tie):
    """Rewards (B,) of both answers; a tie is half a win of each."""
    d = chosen - rejected - margin
    return torch.where(tie, -0.5 * (F.logsigmoid(d) + F.logsigmoid(-d)), -F.logsigmoid(d)).mean()


def dpo_loss(policy, reference, chosen, rejected, tie, beta):
    """Each of chosen and rejected is (ids, targets); the reference model gets no gradient."""
    d = answer_log_probs(policy, *chosen) - answer_log_probs(policy, *rejected)
    with torch.no_grad():
        d_reference = answer_log_probs(reference, *chosen) - answer_log_probs(reference, *rejected)
    return bradley_terry_loss(beta * (d - d_reference), 0.0, 0.0, tie)


def ppo_terms(logits, values, batch, clip):
    """The policy loss, the value loss and the entropy over the tokens that `batch["mask"]` counts."""
    mask = batch["mask"].bool()
    distribution = torch.distributions.Categorical(logits=logits[mask])
    ratio = torch.exp(distribution.log_prob(batch["targets"][mask]) - batch["old_log_p"][mask])
    A, R, old = (batch[name][mask] for name in ("advantages", "returns", "old_values"))
    policy = -torch.min(A * ratio, A * ratio.clamp(1 - clip, 1 + clip)).mean()
    v = values[mask]
    value = 0.5 * torch.max((v - R) ** 2, (torch.clamp(v, old - clip, old + clip) - R) ** 2).mean()
    return policy, value, distribution.entropy().mean()


def reinforce_loss(log_p, advantages, mask):
    return -(advantages * log_p)[mask.bool()].mean()


def grpo_loss(log_p, old_log_p, reference_log_p, advantages, mask, clip, beta):
    """The mean over answers of the mean over their tokens."""
    rows = []
    for row in zip(log_p, old_log_p, reference_log_p, advantages, mask.bool()):
        lp, old, ref, A = (x[row[-1]] for x in row[:-1])
        ratio = torch.exp(lp - old)
        kl = torch.exp(ref - lp) - (ref - lp) - 1
        rows.append((-torch.min(A * ratio, A * ratio.clamp(1 - clip, 1 + clip)) + beta * kl).mean())
    return torch.stack(rows).mean()
