"""Rows of different lengths, one after the other in a single one: no padding is computed.

All of a GPT but its attention looks at one position at a time, so it takes any row of positions. The attention is
taken of each sequence apart. The loss is the one of the padded batch, to rounding.
"""

import numpy as np

from .. import ops
from ..backend import array_module


def packed_hidden(model, ids, lengths):
    """GPT.hidden of every position that is no padding, row after row.

    ids (B, T) integers  lengths (B,) integers  ->  x (1, N, C), N = Σ lengths
    """
    lengths = [int(n) for n in lengths]
    xp = array_module(ids)
    kept = xp.asarray(mask(lengths, ids.shape[1]))
    positions = xp.asarray(np.concatenate([np.arange(n) for n in lengths]))
    x = model.drop(model.wte(ids[kept][None]) + model.wpe(positions))  # (1, N, C)
    for block in model.h:
        x = x + attention(block.attn, block.ln_1(x), lengths)
        x = x + block.mlp(block.ln_2(x))
    return model.ln_f(x)


def packed_loss(model, ids, targets, lengths):
    """`model.loss` of a padded batch, without computing the padding.

    ids (B, T) integers  targets (B, T) integers  lengths (B,) integers  ->  loss ()
    """
    x = packed_hidden(model, ids, lengths)
    kept = array_module(ids).asarray(mask([int(n) for n in lengths], ids.shape[1]))
    return ops.linear_cross_entropy(x.reshape(-1, x.shape[-1]), model.lm_head.weight, targets[kept])


def mask(lengths, T):
    """Which positions of the padded batch are no padding.

    lengths (B,)  ->  kept (B, T) bool
    """
    return np.arange(T) < np.array(lengths)[:, None]


def attention(attn, x, lengths):
    """CausalSelfAttention of each sequence apart.

    x (1, N, C)  ->  y (1, N, C)
    """
    ends = np.cumsum(lengths)
    qkv, p = attn.c_attn(x), attn.attn_dropout.p  # (1, N, 3C)
    parts = []
    for start, end in zip(ends - lengths, ends):
        T = int(end - start)
        keep = attn.attn_dropout.mask((1, attn.n_head, T, T), like=x)
        parts.append(ops.causal_attention(qkv[:, int(start) : int(end)], keep, n_head=attn.n_head, p=p))
    return attn.resid_dropout(attn.c_proj(ops.cat(parts, axis=1)))
