"""What every model here is: ids in, scores of the next token out."""

from .. import nn, ops
from ..generation.cache import NoCache
from ..generation.generate import generate
from ..nn.embedding import beside


class LanguageModel(nn.Module):
    """A Module whose forward is ids (B, T) integers -> logits (B, T, V), with a `block_size` it can look back."""

    def loss(self, ids, targets):
        """Mean cross-entropy of the next tokens: every position is an example of its own; targets of −100 are ignored.

        ids (B, T) integers  targets (B, T) integers  ->  loss ()
        """
        logits = self(ids)
        targets = self._targets(targets, logits, logits.shape[-1])
        return ops.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))

    @staticmethod
    def _targets(targets, x, vocab_size):
        """targets as a Tensor where the model is, one for each vector of x."""
        targets = beside(x, targets, vocab_size, "target", ignored=-100)
        if targets.shape != x.shape[:-1]:
            raise ValueError(f"loss: targets {targets.shape} must have the shape of the ids, {x.shape[:-1]}")
        return targets

    def generate(self, ids, max_new_tokens=100, temperature=1.0, top_k=None, top_p=None, seed=0, **options):
        """The ids (T,) or (B, T) with max_new_tokens more, drawn one after the other; temperature 0 is greedy.

        options: those of `tinyllm.generation.generate`.

        ids (B, T) integers  ->  ids (B, T + max_new_tokens) integers
        """
        rules = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return generate(self, ids, max_new_tokens, **rules, seed=seed, **options)

    def new_cache(self, batch_size, length):
        """What gives `generate` its scores, for batch_size sequences of up to `length` tokens."""
        return NoCache(self)
