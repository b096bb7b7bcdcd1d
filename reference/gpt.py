"""GPT-2 in PyTorch, with Hugging Face's parameter names and every dropout mask given from outside."""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from reference.ops import causal_attention, dropout, linear


@dataclass
class GPTConfig:
    """The sizes and options of a GPT; the defaults are a small character model."""

    vocab_size: int = 65
    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0
    bias: bool = True  # biases of the linear layers and of the layer norms
    qkv_bias: bool | None = None  # bias of c_attn alone; None: as bias
    tie_weights: bool = True  # the head is wte


class Conv1D(nn.Module):
    """A linear layer whose weight is stored (in, out), as Hugging Face's GPT-2 stores it: y = x @ W + b."""

    def __init__(self, n_in, n_out, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out)) if bias else None

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class CausalSelfAttention(nn.Module):
    """Multi-head causal attention between its two projections."""

    def __init__(self, config):
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"n_embd={config.n_embd} is not divisible by n_head={config.n_head}")
        qkv_bias = config.bias if config.qkv_bias is None else config.qkv_bias
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd, bias=qkv_bias)
        self.c_proj = Conv1D(config.n_embd, config.n_embd, bias=config.bias)
        self.n_head = config.n_head
        self.p = config.dropout

    def forward(self, x, keep=None):
        return self.c_proj(causal_attention(self.c_attn(x), keep, self.n_head, self.p))


class MLP(nn.Module):
    """Widen four times, GELU (tanh form, as GPT-2), narrow."""

    def __init__(self, config):
        super().__init__()
        self.c_fc = Conv1D(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = Conv1D(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Attention, then MLP, each on the layer norm of the residual stream and added to it."""

    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=1e-5, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=1e-5, bias=config.bias)
        self.mlp = MLP(config)
        self.p = config.dropout

    def forward(self, x, keep_weights=None, keep_attn=None, keep_mlp=None):
        x = x + dropout(self.attn(self.ln_1(x), keep_weights), keep_attn, self.p)
        x = x + dropout(self.mlp(self.ln_2(x)), keep_mlp, self.p)
        return x


class GPT(nn.Module):
    """GPT-2: names of parameters are Hugging Face's without `transformer.`; a tied head has none of its own."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd, eps=1e-5, bias=config.bias)
        if not config.tie_weights:
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self._init_weights()

    def _init_weights(self):
        """As GPT-2: normal of 0.02, divided by sqrt(2 n_layer) where a layer writes to the residual stream."""
        for name, module in self.named_modules():
            if isinstance(module, (Conv1D, nn.Linear, nn.Embedding)):
                residual = name.endswith("c_proj")
                nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * self.config.n_layer) if residual else 0.02)
            if isinstance(module, Conv1D) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, ids, keeps=None):
        """Ids (B, T) to logits (B, T, V). `keeps`: the masks of the embeddings (B, T, C), then for each block of
        its attention weights (B, H, T, T), attention output (B, T, C) and MLP output (B, T, C)."""
        head = self.wte if self.config.tie_weights else self.lm_head
        return F.linear(self.hidden(ids, keeps), head.weight)  # (B, T, V)

    def hidden(self, ids, keeps=None):
        """Ids (B, T) to what the output layer reads, (B, T, C)."""
        T = ids.size(1)
        if T > self.config.block_size:
            raise ValueError(f"{T} tokens are more than block_size={self.config.block_size}")
        n_masks = 1 + 3 * self.config.n_layer
        keeps = [None] * n_masks if keeps is None else list(keeps)
        if len(keeps) != n_masks:
            raise ValueError(f"{len(keeps)} dropout masks were given, {n_masks} are needed")

        x = self.wte(ids) + self.wpe(torch.arange(T, device=ids.device))  # (B, T, C)
        x = dropout(x, keeps[0], self.config.dropout)
        for i, block in enumerate(self.h):
            x = block(x, *keeps[1 + 3 * i : 4 + 3 * i])
        return self.ln_f(x)

    def loss(self, ids, targets, keeps=None):
        """Mean cross-entropy over all positions; targets of -100 are left out."""
        logits = self(ids, keeps)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
