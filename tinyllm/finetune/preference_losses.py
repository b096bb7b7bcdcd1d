"""Losses of pairs of answers: which one is better, as a logistic regression on the difference of two rewards."""

from .. import ops
from ..backend import array_module


def bradley_terry_loss(chosen, rejected, margin, tie):
    """loss = −mean log σ(r_chosen − r_rejected − margin): the better answer wins with probability σ(r_c − r_r)

    A tie counts as half a win of each. Bradley & Terry 1952; as a loss of rewards Stiennon et al. 2020
    (arXiv:2009.01325), with a margin Touvron et al. 2023 (arXiv:2307.09288).

    chosen (B,)  rejected (B,)  margin (B,)  tie (B,) bool  ->  loss ()
    """
    return win_loss(chosen - rejected - margin, tie)


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, tie, beta=0.1):
    """r = β (log π(answer) − log π_ref(answer))   loss = −mean log σ(r_chosen − r_rejected)

    The reward under which π would be the best policy at a KL penalty of β is r, up to a constant of the prompt: so
    Bradley–Terry teaches the policy itself. Rafailov et al. 2023 (arXiv:2305.18290). Given: log-probabilities of the
    answers. Also given back are both r, for whoever watches.

    chosen (B,)  rejected (B,)  reference_chosen (B,)  reference_rejected (B,)  tie (B,) bool
    ->  loss ()  r_chosen (B,)  r_rejected (B,)
    """
    r_chosen, r_rejected = beta * (chosen - reference_chosen), beta * (rejected - reference_rejected)
    return win_loss(r_chosen - r_rejected, tie), r_chosen, r_rejected


def win_loss(difference, tie):
    """−mean log σ(difference), half of it and half of −log σ(−difference) for a tie."""
    xp = array_module(difference.data)
    wins = xp.where(xp.asarray(tie), 0.5, 1.0).astype(difference.dtype)
    return ops.binary_cross_entropy_with_logits(difference, wins)
