"""The operations that torch has no function of its own for, as a torch user writes them."""

import math

import torch
import torch.nn.functional as F


def linear(x, weight, bias=None):
    """y = x @ weight + bias, with the weight stored (in, out) as Hugging Face's GPT-2 stores it."""
    return F.linear(x, weight.T, bias)


def dropout(x, keep, p):
    """Dropout with its mask given: x where keep, scaled by 1 / (1 - p); no mask, no dropout."""
    return x if keep is None else x * keep / (1 - p)


def causal_attention(qkv, keep, n_head, p):
    """qkv (B, T, 3C) to (B, T, C); written out by hand where a mask `keep` (B, H, T, T) drops attention weights."""
    B, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = qkv.view(B, T, 3, n_head, C // n_head).permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
    if keep is None:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, T)
        future = torch.ones(T, T, dtype=torch.bool, device=qkv.device).triu(1)
        weights = F.softmax(scores.masked_fill(future, -math.inf), dim=-1)
        y = dropout(weights, keep, p) @ v  # (B, H, T, D)
    return y.transpose(1, 2).reshape(B, T, C)
