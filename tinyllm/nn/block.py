"""One layer of GPT-2: the positions exchange what they know, then each thinks for itself."""

from .attention import CausalSelfAttention
from .layer_norm import LayerNorm
from .mlp import MLP
from .module import Module


class Block(Module):
    """x ← x + attn(ln_1(x))   x ← x + mlp(ln_2(x)): each half adds to x, so the gradient also flows straight past it

    x (B, T, C)  ->  x (B, T, C)
    """

    def __init__(self, n_embd, n_head, dropout=0.0, bias=True, qkv_bias=None, std=0.02):
        self.ln_1 = LayerNorm(n_embd, bias=bias)
        self.attn = CausalSelfAttention(n_embd, n_head, dropout, bias, qkv_bias, std)
        self.ln_2 = LayerNorm(n_embd, bias=bias)
        self.mlp = MLP(n_embd, dropout, bias, std)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x
