"""One more token in each row: its vector, its attention and the choice after it, a launch each (see decode.cu)."""

import math

import numpy as np

from ...backend import array_module
from .compile import counters, launch, packed, processors

THREADS, MOST = 128, 8  # as in decode.cu
WARP = 32
KEYS = 64  # that a block takes at least, where there are many


def embed(tokens, position, wte, wpe):
    """wte[tokens] + wpe[position]; tokens (B,) position (1,) int64 of the GPU  ->  x (B, C)"""
    B, C = len(tokens), wte.shape[1]
    x = array_module(wte).empty((B, C), wte.dtype)
    launch("decode", "decode_embed", wte.dtype, (B,), (_threads(C),), x, tokens, position, wte, wpe, np.int32(C))
    return x


def attention(qkv, kv, position):
    """What the last row of causal_attention would be; the key and the value that come are kept at their position.

    qkv (B, 3C)  kv (2, B, H, length, D), written  position (1,) int64  ->  y (B, C)
    """
    xp, (_, B, H, length, D) = array_module(qkv), kv.shape
    N = 16 // qkv.itemsize
    packs = packed(D, qkv, kv) if D <= WARP * N else np.int32(0)
    N = N if packs else 1
    if D > WARP * MOST:
        raise ValueError(f"attention of a new token: a head has {D} channels, more than {WARP * MOST}")
    G = min(WARP, 1 << (-(-D // N) - 1).bit_length())  # threads a key
    blocks = max(1, min(-(-length // KEYS), 2 * processors() // (B * H)))
    y, parts = xp.empty((B, H * D), qkv.dtype), xp.empty((B * H, blocks, D + 2), "float32")
    scale = np.float32(math.log2(math.e) / math.sqrt(D))
    launch("decode", "decode_attention", qkv.dtype, (blocks, B * H), (THREADS,), y, kv[0], kv[1], qkv, position, parts,
           counters(B * H), *map(np.int32, (H, length, D, G)), packs, scale)  # fmt: skip
    return y


def pick(logits, tokens, position):
    """tokens ← the likeliest, −1 where a score is not finite; position ← position + 1.

    logits (B, V)  tokens (B,) position (1,) int64
    """
    xp, (B, V) = array_module(logits), logits.shape
    values, places = xp.empty((B, WARP), "float32"), xp.empty((B, WARP), "int32")
    blocks, threads = min(WARP, -(-V // 1024)), _threads(V)
    launch("decode", "decode_pick", logits.dtype, (blocks, B), (threads,), tokens, position, values, places,
           counters(B), logits, np.int32(V))  # fmt: skip


def _threads(n):
    """Of a block that goes over n numbers."""
    return min(256, -(-n // WARP) * WARP)
