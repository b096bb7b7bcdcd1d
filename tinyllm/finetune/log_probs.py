"""How likely a model finds what was said."""

from .. import ops


def token_log_probs(logits, targets):
    """log softmax(logits)[target] of each position, 0 where the target is −100.

    logits (B, T, V)  targets (B, T) integers  ->  log_p (B, T)
    """
    B, T, V = logits.shape
    return -ops.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), reduction="none").reshape(B, T)


def answer_log_probs(model, ids, targets):
    """The log-probability that a model gives to an answer: the sum over the targets that are not −100.

    ids (B, T) integers  targets (B, T) integers  ->  log_p (B,)
    """
    return token_log_probs(model(ids), targets).sum(axis=1)
