"""One more token on a GPU: a step whose arrays never move and never change their shape, so that it can be one graph.

A token of a small model takes the GPU less time than the CPU needs to start its 150 kernels, one by one. So they are
captured once, as a CUDA graph, and replayed for each token. What changes from token to token lies on the GPU: the
tokens and their position. A step chooses the likeliest next tokens there, and makes them its own next ones: a greedy
one brings nothing but their ids to the host, and sends nothing. Where chance decides, as sampling.py has it, the
logits come to the host, and the tokens go.
"""

import numpy as np

from .. import precision
from ..backend import array_module, backend_of, to_numpy
from ..methods import Tensor
from ..observe import MODE

NOT_FINITE = -1  # in place of a token: there is none to choose
WIDEST = 256  # channels of a head


def can_step(kv):
    """Whether there are kernels for a cache of keys and values."""
    return backend_of(kv) != "numpy" and kv.dtype != np.float64 and kv.shape[-1] <= WIDEST and MODE.get().kernels


class DecodeStep:
    """The scores of what follows one more token in each row of a KVCache, whose keys and values it adds."""

    def __init__(self, cache):
        from ..kernels.cuda import decode  # what needs no GPU needs no kernels
        from ..kernels.cuda.replay import Replay

        self.model, self.kv, self.kernels = cache.model, cache.kv, decode
        self.place = array_module(self.kv).zeros(self.kv.shape[2] + 1, np.int64)  # the tokens that come, their position
        self.held = None  # what the host knows to be there
        self.logits = None  # (B, V), on the GPU
        self.precision, self.weights = precision.current(), self.now()
        self.go = Replay(self.run, "a new token")

    def now(self):
        """The arrays that the model's weights are in at present."""
        return [parameter.data for parameter in self.model.parameters()]

    def fits(self, cache):
        """Whether the cache and the weights still are where they were, and the precision is the same."""
        weights = zip(self.weights, self.now(), strict=True)
        return self.kv is cache.kv and self.precision == precision.current() and all(a is b for a, b in weights)

    def scores(self, ids, position):
        """ids (B,) at a position  ->  logits (B, V), on the host"""
        self.send(ids, position)
        self.go()
        self.held = None  # nobody asks what would have been likeliest
        return to_numpy(self.logits)

    def likeliest(self, ids, position):
        """ids (B,) at a position  ->  next ids (B,), NOT_FINITE where the scores are not; logits (B, V) on the GPU"""
        self.send(ids, position)
        self.go()
        self.held = to_numpy(self.place)
        return self.held[:-1].copy(), self.logits.copy()

    def send(self, ids, position):
        """Have tokens and position in place, where they are not."""
        wanted = np.append(ids, position)
        if self.held is None or not np.array_equal(wanted, self.held):
            self.place.set(wanted)

    def run(self):
        """The step itself: from `place` to `logits`, and to the next `place`."""
        model, tokens, position = self.model, self.place[:-1], self.place[-1:]
        x = Tensor(self.kernels.embed(tokens, position, model.wte.weight.data, model.wpe.weight.data))  # (B, C)
        for block, kv in zip(model.h, self.kv):
            qkv = block.attn.c_attn(block.ln_1(x)).data  # (B, 3C)
            x = x + block.attn.c_proj(Tensor(self.kernels.attention(qkv, kv, position)))
            x = x + block.mlp(block.ln_2(x))
        self.logits = model.lm_head(model.ln_f(x)).data
        self.kernels.pick(self.logits, tokens, position)
