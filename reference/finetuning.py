"""The losses of fine-tuning in PyTorch: answers alone, pairs of answers, and a policy's own tries."""

import torch
import torch.nn as nn
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


class ActorCritic(nn.Module):
    """A GPT and a value for every position."""

    def __init__(self, policy):
        super().__init__()
        self.policy, self.value = policy, nn.Linear(policy.config.n_embd, 1)

    def forward(self, ids):
        x = self.policy.hidden(ids)
        return F.linear(x, self.policy.wte.weight), self.value(x)[..., 0]


def thoughts(actor, reference, ids, targets):
    """What the actor and the reference think of answers when they are given, (B, T) each, 0 outside of the answers."""
    mask = (targets != -100).double()
    with torch.no_grad():
        logits, values = actor(ids)
        old, ref = (torch.log_softmax(x, -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0] * mask
                    for x in (logits, reference(ids)))  # fmt: skip
    return {"ids": ids, "targets": targets.clamp(min=0), "mask": mask, "old_log_p": old, "reference_log_p": ref,
            "old_values": values * mask}  # fmt: skip


def gae(batch, scores, kl_coef, gamma, lam):
    """Whitened advantages and returns: the price of the KL at every token, the score at the last one."""
    rows = []
    for old, ref, V, mask, score in zip(*(batch[n] for n in ("old_log_p", "reference_log_p", "old_values", "mask")),
                                        scores):  # fmt: skip
        at = mask.nonzero()[:, 0]
        r = -kl_coef * (old - ref)[at]
        r[-1] += score
        v = torch.cat([V[at], V.new_zeros(1)])
        delta, t = r + gamma * v[1:] - v[:-1], torch.arange(len(at), dtype=v.dtype)
        powers = (gamma * lam) ** (t - t[:, None]).clamp(min=0)
        A = torch.zeros_like(V)
        A[at] = (powers.triu() * delta).sum(1)
        rows.append(A)
    A = torch.stack(rows)
    inside = A[batch["mask"].bool()]
    return (A - inside.mean()) / (inside.std(unbiased=False) + 1e-8) * batch["mask"], A + batch["old_values"]
