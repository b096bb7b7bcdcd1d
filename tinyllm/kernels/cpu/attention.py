"""causal_attention in blocks of queries: what lies in the future is not computed, and no weight is ever normalised.

With E = e^(S − max) and l = Σ E along a row, P = E / l. Dividing the (T, D) results by l takes the place of dividing
the (T, T) weights. In the backward, Σⱼ dPⱼ Pⱼ = dy · y (Dao et al. 2022, arXiv:2205.14135), which needs no weights.
"""

import math
from functools import cache

import numpy as np

from ...ops.attention import causal_attention_forward
from .arena import empty
from .share import share

QUERIES = 64  # of a block
WEIGHTS = 1 << 17  # of the sequences and heads that are worked on together
LONG = 512  # from here on weights are computed again in the backward: keeping them would take the most memory


def causal_attention_forward_cpu(qkv, keep=None, *, n_head, p=0.0):
    if n_head < 1 or qkv.shape[-1] % (3 * n_head):
        return causal_attention_forward(qkv, keep, n_head=n_head, p=p)  # says what is wrong
    p = 0.0 if keep is None else p
    q, k, v = _heads(qkv, 3, n_head)
    B, H, T, D = q.shape
    y = empty((B, T, H * D), qkv.dtype)
    [heads] = _heads(y, 1, n_head)
    top, total = np.empty((2, B, H, T, 1), qkv.dtype)  # of each row: the largest score, and Σ e^(score − largest)

    def part(at):
        weights = []
        for rows, seen in _blocks(T):
            E = _scores(q[at], k[at], rows, seen)
            E.max(axis=-1, keepdims=True, out=top[at][:, :, rows])
            E -= top[at][:, :, rows]
            np.exp(E, out=E)
            total[at][:, :, rows] = sums = E @ np.ones((E.shape[-1], 1), E.dtype)
            W = E if keep is None else np.multiply(E, keep[at][:, :, rows, seen], out=empty(E.shape, E.dtype))
            np.divide(W @ v[at][:, :, seen], sums * (1 - p), out=heads[at][:, :, rows])
            weights.append(E)
        return weights if T < LONG else None

    kept = _parts(part, B, H, T)
    return y, (qkv, y, top, total, kept, keep, p, n_head)


def causal_attention_backward_cpu(dy, qkv, y, top, total, kept, keep, p, n_head):
    """With g = dy / (l √D): dv = √D · Eᵀ g   dS / √D = E · (g vᵀ − g · y)   dq = dS k / √D   dk = dSᵀ q / √D

    With dropout, E in dv and g vᵀ are multiplied by keep, and g is divided by 1 − p.
    """
    dqkv = empty(qkv.shape, qkv.dtype)
    (q, k, v), (dq, dk, dv) = _heads(qkv, 3, n_head), _heads(dqkv, 3, n_head)
    [dheads], [heads] = _heads(dy, 1, n_head), _heads(y, 1, n_head)
    B, H, T, D = q.shape
    root = math.sqrt(D)

    def part(at, weights):
        dk_sum = dv_sum = None
        for i, (rows, seen) in reversed(list(enumerate(_blocks(T)))):  # the last one sees all keys: sums begin there
            if weights is None:
                E = _scores(q[at], k[at], rows, seen)
                E -= top[at][:, :, rows]
                np.exp(E, out=E)
            else:
                E = weights[i]
            g = dheads[at][:, :, rows] / (total[at][:, :, rows] * (root * (1 - p)))
            along = np.vecdot(g, heads[at][:, :, rows])[..., None]
            dS = np.matmul(g, v[at][:, :, seen].swapaxes(-1, -2), out=empty(E.shape, E.dtype))
            W = E
            if keep is not None:
                mask = keep[at][:, :, rows, seen]
                W, along = np.multiply(E, mask, out=empty(E.shape, E.dtype)), along * (1 - p)
                dS *= mask
            dS -= along
            dS *= E
            dq[at][:, :, rows] = dS @ k[at][:, :, seen]
            dk_sum = _plus(dk_sum, dS.swapaxes(-1, -2) @ q[at][:, :, rows])
            dv_sum = _plus(dv_sum, W.swapaxes(-1, -2) @ g)
        dk[at] = dk_sum
        np.multiply(dv_sum, root, out=dv[at])

    _parts(part, B, H, T, kept)
    return dqkv, None


def _heads(x, n, H):
    """The n parts that lie side by side in x (B, T, n·H·D), each as a view (B, H, T, D)."""
    B, T, width = x.shape
    return x.reshape(B, T, n, H, width // (n * H)).transpose(2, 0, 3, 1, 4)


def _blocks(T):
    """(rows, seen): the queries of a block, and all the keys that one of them sees."""
    for start in range(0, T, QUERIES):
        stop = min(start + QUERIES, T)
        yield slice(start, stop), slice(0, stop)


def _scores(q, k, rows, seen):
    """q kᵀ / √D of a block of queries, −∞ where the key comes after the query."""
    B, H, _, D = q.shape
    E = empty((B, H, rows.stop - rows.start, seen.stop), q.dtype)
    np.matmul(q[:, :, rows] * (1 / math.sqrt(D)), k[:, :, seen].swapaxes(-1, -2), out=E)
    corner = E[..., rows.start :]
    np.minimum(corner, _mask(rows.stop - rows.start, E.dtype.name), out=corner)
    return E


@cache
def _mask(n, dtype):
    """∞ where a key is seen, −∞ where it lies in the future."""
    mask = np.where(np.tri(n, dtype=bool), math.inf, -math.inf).astype(dtype)
    mask.setflags(write=False)
    return mask


def _plus(sums, more):
    """sums (…, T, D) + more (…, n ≤ T, D), in place; more itself where there are no sums yet."""
    if sums is None:
        return more
    sums[:, :, : more.shape[2]] += more
    return sums


def _parts(work, B, H, T, given=None):
    """[work(at), …] or [work(at, given[i]), …] of groups of sequences, or of heads of one, which threads share."""
    heads = max(1, WEIGHTS // (QUERIES * T))
    if heads >= H:
        n = heads // H
        groups = [(slice(b, b + n), slice(None)) for b in range(0, B, n)]
    else:
        groups = [(slice(b, b + 1), slice(h, h + heads)) for b in range(B) for h in range(0, H, heads)]
    calls = [(at,) for at in groups] if given is None else list(zip(groups, given))
    done = share(lambda start, stop: [work(*call) for call in calls[start:stop]], len(calls))
    return [result for results in done for result in results]


KERNELS = {"causal_attention": (causal_attention_forward_cpu, causal_attention_backward_cpu)}
