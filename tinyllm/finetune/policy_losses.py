"""The losses that teach a policy from what it tried itself.

mask (B, T) is 1 where a token of an answer was chosen, 0 elsewhere; log_p (B, T) are the policy's log-probabilities of
those tokens now, old_log_p when they were chosen.
"""

from .. import ops
from ..backend import array_module


def masked_mean(x, mask):
    """The mean of x over the positions that count.

    x (B, T)  mask (B, T)  ->  mean ()
    """
    return (x * mask).sum() / mask.sum()


def clipped_policy_loss(log_p, old_log_p, advantages, mask, clip=0.2):
    """ratio = π(token) / π_old(token)   loss = mean max(−A · ratio, −A · clip(ratio, 1 − ε, 1 + ε))

    Beyond a factor of 1 ± ε nothing is gained by going on in the direction of A: that keeps the policy near the one
    that tried (PPO, Schulman et al. 2017, arXiv:1707.06347).

    log_p (B, T)  old_log_p (B, T)  advantages (B, T)  mask (B, T)  ->  loss ()
    """
    ratio = ops.exp(log_p - old_log_p)
    losses = ops.maximum(-advantages * ratio, -advantages * ops.clip(ratio, min=1 - clip, max=1 + clip))
    return masked_mean(losses, mask)


def clipped_value_loss(values, old_values, returns, mask, clip=0.2):
    """loss = ½ mean max((V − R)², (V_old + clip(V − V_old, −ε, ε) − R)²)

    values (B, T)  old_values (B, T)  returns (B, T)  mask (B, T)  ->  loss ()
    """
    near = old_values + ops.clip(values - old_values, min=-clip, max=clip)
    errors = ops.maximum((values - returns) * (values - returns), (near - returns) * (near - returns))
    return 0.5 * masked_mean(errors, mask)


def reinforce_loss(log_p, advantages, mask):
    """loss = −mean A · log π(token) (Williams 1992)

    log_p (B, T)  advantages (B, T)  mask (B, T)  ->  loss ()
    """
    return masked_mean(-advantages * log_p, mask)


def grpo_loss(log_p, old_log_p, reference_log_p, advantages, mask, clip=0.2, beta=0.04):
    """loss = mean over the answers of their tokens' mean of max(−A ratio, −A clip(ratio)) + β (e^d − d − 1)

    d = log π_ref − log π: e^d − d − 1 is an estimate of the KL to the reference that is never negative. No value
    head: A compares an answer with others to the same prompt (GRPO, Shao et al. 2024, arXiv:2402.03300).

    log_p (B, T)  old_log_p (B, T)  reference_log_p (B, T)  advantages (B, T)  mask (B, T)  ->  loss ()
    """
    ratio, d = ops.exp(log_p - old_log_p), reference_log_p - log_p
    losses = ops.maximum(-advantages * ratio, -advantages * ops.clip(ratio, min=1 - clip, max=1 + clip))
    losses = losses + beta * (ops.exp(d) - d - 1)
    return ((losses * mask).sum(axis=1) / mask.sum(axis=1)).mean()


def entropy(logits, mask):
    """The mean entropy of the next token, in nats: −Σ p log p.

    logits (B, T, V)  mask (B, T)  ->  entropy ()
    """
    log_p = ops.log_softmax(logits)
    return masked_mean(-(ops.exp(log_p) * log_p).sum(axis=-1), mask)


def whiten(x, mask):
    """x with mean 0 and variance 1 over the positions that count, and 0 elsewhere.

    x (B, T)  mask (B, T)  ->  x (B, T)
    """
    n = mask.sum()
    centred = (x - (x * mask).sum() / n) * mask
    return centred / (array_module(x).sqrt((centred * centred).sum() / n) + 1e-8)
