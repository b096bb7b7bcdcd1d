"""How likely a model finds what was said, and the frozen copy of a model that it is compared with."""

from .. import nn, ops
from ..backend import backend_of
from ..models import GPT


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


def frozen_copy(model):
    """The same GPT once more, on the same backend, which learns nothing."""
    with nn.init.skipped():
        copy = GPT(model.config, dtype=str(model.wte.weight.dtype)).to(backend_of(model.wte.weight.data))
    copy.load_state_dict(model.state_dict())
    return copy.requires_grad_(False).eval()
