"""Greedy generation in PyTorch with a static KV cache: allocated once, as large as it will ever be.

Twice: as one writes it, looking at the keys so far; and with shapes that never change, as torch.compile wants it.
"""

import torch
import torch.nn.functional as F


def static_cache(model, batch_size, length):
    """Room for the keys and values of every layer: (n_layer, 2, B, H, length, D)."""
    config, weight = model.config, model.wte.weight
    head_size = config.n_embd // config.n_head
    return weight.new_empty(config.n_layer, 2, batch_size, config.n_head, length, head_size)


def next_logits(model, ids, cache, start):
    """Ids (B, T) at positions start, start + 1, … to the logits (B, V) of what follows the last; the cache grows.

    T is 1 unless start is 0.
    """
    x = model.wte(ids) + model.wpe.weight[start : start + ids.size(1)]
    for block, kv in zip(model.h, cache):
        x = x + attention(block.attn, block.ln_1(x), kv, start)
        x = x + block.mlp(block.ln_2(x))
    head = model.wte if model.config.tie_weights else model.lm_head
    return F.linear(model.ln_f(x[:, -1]), head.weight)


def attention(attn, x, kv, start):
    """The attention of a block with the keys and values so far."""
    B, T, C = x.shape
    q, k, v = attn.c_attn(x).view(B, T, 3, attn.n_head, C // attn.n_head).permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
    kv[0, :, :, start : start + T] = k
    kv[1, :, :, start : start + T] = v
    k, v = kv[:, :, :, : start + T]
    y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
    return attn.c_proj(y.transpose(1, 2).reshape(B, T, C))


@torch.inference_mode()
def greedy_tokens(model, ids, max_new_tokens):
    """The tokens (B, 1) that follow ids (B, T), one at a time."""
    cache, start = static_cache(model, ids.size(0), ids.size(1) + max_new_tokens), 0
    for _ in range(max_new_tokens):
        token = next_logits(model, ids, cache, start).argmax(-1, keepdim=True)
        yield token
        start, ids = start + ids.size(1), token


def next_logits_at(model, ids, cache, position):
    """`next_logits` of ids (B, 1) at a position that is a tensor (1,): no shape depends on it, nor any number that
    torch.compile would make a constant of."""
    x = model.wte(ids) + model.wpe(position)
    seen = torch.arange(cache.size(4), device=ids.device) <= position
    for block, kv in zip(model.h, cache):
        x = x + attention_at(block.attn, block.ln_1(x), kv, position, seen)
        x = x + block.mlp(block.ln_2(x))
    head = model.wte if model.config.tie_weights else model.lm_head
    return F.linear(model.ln_f(x[:, -1]), head.weight)


def attention_at(attn, x, kv, position, seen):
    """The attention of a block with all of its cache, masked where it is not yet filled."""
    B, _, C = x.shape
    q, k, v = attn.c_attn(x).view(B, 1, 3, attn.n_head, C // attn.n_head).permute(2, 0, 3, 1, 4)  # (B, H, 1, D) each
    kv[0].index_copy_(2, position, k)
    kv[1].index_copy_(2, position, v)
    y = F.scaled_dot_product_attention(q, kv[0], kv[1], attn_mask=seen[None])
    return attn.c_proj(y.transpose(1, 2).reshape(B, 1, C))


def fixed_cache(model, batch_size, length):
    """A static cache for `next_logits_at`, to be used again and again: a compiled one is compiled for each anew."""
    cache = torch.zeros_like(static_cache(model, batch_size, length))  # a masked key of nan would still be one
    torch._dynamo.mark_static_address(cache)  # a CUDA graph writes it where it is
    return cache


@torch.no_grad()
def greedy_tokens_at(model, ids, max_new_tokens, cache, step=next_logits_at):
    """`greedy_tokens` by `next_logits_at`, or by what torch.compile made of it, in a `fixed_cache`."""
    position = torch.tensor([ids.size(1)], device=ids.device)
    token = next_logits(model, ids, cache, 0).argmax(-1, keepdim=True)
    for _ in range(max_new_tokens - 1):
        yield token
        token = step(model, token, cache, position).argmax(-1, keepdim=True)
        position += 1
    yield token
