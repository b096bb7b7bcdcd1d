"""Causal multi-head self-attention with its projections."""

from .. import ops
from .dropout import Dropout
from .linear import Conv1D
from .module import Module


class CausalSelfAttention(Module):
    """qkv = c_attn(x)   y = c_proj(attention(qkv)); std is that of c_proj's initial weights

    x (B, T, C)  ->  y (B, T, C)
    """

    def __init__(self, n_embd, n_head, dropout=0.0, bias=True, qkv_bias=None, std=0.02):
        if n_embd % n_head:
            fits = sorted({n_embd // n_head * n_head, -(-n_embd // n_head) * n_head} - {0})
            raise ValueError(f"attention: n_embd={n_embd} is not divisible by n_head={n_head}; "
                             f"choose {' or '.join(map(str, fits))}")
        self.n_head = n_head
        self.c_attn = Conv1D(n_embd, 3 * n_embd, bias=bias if qkv_bias is None else qkv_bias)
        self.c_proj = Conv1D(n_embd, n_embd, bias=bias, std=std)
        self.attn_dropout = Dropout(dropout)
        self.resid_dropout = Dropout(dropout)

    def forward(self, x):
        B, T, C = x.shape
        qkv = self.c_attn(x)  # (B, T, 3C)
        keep = self.attn_dropout.mask((B, self.n_head, T, T), qkv, ops.causal_attention)
        y = ops.causal_attention(qkv, keep, n_head=self.n_head, p=self.attn_dropout.p)
        return self.resid_dropout(self.c_proj(y))

    def extra_repr(self):
        return f"n_head={self.n_head}"
