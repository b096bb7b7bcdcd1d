"""The feed-forward half of a transformer block: each position on its own."""

from .. import ops
from .dropout import Dropout
from .linear import Conv1D
from .module import Module


class MLP(Module):
    """y = c_proj(gelu(c_fc(x))), four times as wide in the middle; std is that of c_proj's initial weights

    x (B, T, C)  ->  y (B, T, C)
    """

    def __init__(self, n_embd, dropout=0.0, bias=True, std=0.02):
        self.c_fc = Conv1D(n_embd, 4 * n_embd, bias=bias)
        self.c_proj = Conv1D(4 * n_embd, n_embd, bias=bias, std=std)
        self.dropout = Dropout(dropout)

    def forward(self, x):
        x = self.c_fc(x)  # (B, T, 4C)
        x = ops.gelu_tanh(x)
        return self.dropout(self.c_proj(x))
