// Fused causal attention (FlashAttention-2: Dao 2023, arXiv:2307.08691), from the packed projection and back to it.
//
//     S = q kᵀ / √D    P = softmax(S, over the keys that are not in the future)    y = (P · keep / (1 − p)) v
//
// qkv (B, T, 3, H, D) is read and dqkv written where the projection has them; y (B, T, H, D). Saved are lse (B, H, T)
// float32, of each row log2 Σ e^S, and nothing of T × T: the backward computes P = 2^(S log2 e − lse) again.
//
// A block has some rows (queries, or keys in attention_backward_kv) of one head of one sequence, and goes along the
// other side in tiles of COLS; with two STAGES of shared memory, the next is on its way meanwhile. A tile of scores lies
// in registers, R × CT numbers a thread; Rows::row and Rows::col tell their places. attention_tiles.cuh has the copies,
// attention_fma.cuh and attention_mma.cuh the two products everything is made of: s = a bᵀ and sum += w x.
//
// REAL, D and all other sizes are defined outside: see Tiles in attention.py, which also says how much shared memory.
// Launched as (B · H, ⌈T / ROWS⌉) blocks of 128 threads; those with most work come first.

#include "attention_tiles.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_forward(const REAL *qkv, REAL *y, float *lse, const void *keep, unsigned long long threshold, float scale,
                  int T, int H, int D, float root) {
    constexpr int R = FORWARD_ROWS;
    typedef Tile<R> Rows;
    DYNAMIC_SHARED(REAL, q);  // (ROWS, LD), then STAGES of k and v, (COLS, LD) each, then room for weights
    REAL *const stages = q + Rows::ROWS * LD;
    float *const scratch = (float *)(stages + STAGES * 2 * COLS * LD);

    const Head head{T, H, D};
    const int first = (gridDim.y - 1 - blockIdx.y) * Rows::ROWS;
    const float slope = root * LOG2_E;  // e^S = 2^(q · k · slope)
    const Dropout dropout(keep, threshold, T, H);
    const int stride = head.stride(3), tiles = (min(first + Rows::ROWS, T) + COLS - 1) / COLS;
    float top[R], total[R] = {}, sum[R][AT] = {};
#pragma unroll
    for (int i = 0; i < R; i++) top[i] = -INFINITY;

    const auto fetch_keys = [&](int tile) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        head.fetch<COLS>(stage, head.in(qkv, 1, 3), stride, tile * COLS);
        head.fetch<COLS>(stage + COLS * LD, head.in(qkv, 2, 3), stride, tile * COLS);
    };
    head.fetch<Rows::ROWS>(q, head.in(qkv, 0, 3), stride, first);
    fetch_keys(0);
    for (int tile = 0; tile < tiles; tile++) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        const int key = tile * COLS;
        turn_to<Rows::ROWS>(tile, 0, tiles, q, stage, fetch_keys);
        if (key > first + Rows::highest()) continue;  // all of it lies in the future of this warp's rows

        float s[R][CT];
        Rows::scores(s, q, stage);
        if (key + COLS > first + Rows::lowest()) hide_future<false>(s, key - first);
#pragma unroll
        for (int i = 0; i < R; i++) {
            float highest = top[i];
#pragma unroll
            for (int j = 0; j < CT; j++) highest = fmaxf(highest, s[i][j]);
            highest = group_max(highest);
            const float less = exp2_fast((top[i] - highest) * slope), base = highest * slope;
            top[i] = highest;
            total[i] *= less;
#pragma unroll
            for (int j = 0; j < AT; j++) sum[i][j] *= less;
#pragma unroll
            for (int j = 0; j < CT; j++) {
                const float p = exp2_fast(fmaf(s[i][j], slope, -base));
                total[i] += p;  // this thread's share: the group's are added up at the end
                s[i][j] = dropout.keeps(first + Rows::row(i), key + Rows::col(j)) ? p : 0;
            }
        }
        Rows::accumulate(sum, s, stage + COLS * LD, scratch);
    }
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = first + Rows::row(i);
        total[i] = group_sum(total[i]);
        if (threadIdx.x % GROUP == 0 && row < T) lse[(long long)blockIdx.x * T + row] = fmaf(top[i], slope, log2f(total[i]));
        total[i] = scale / total[i];
    }
    head.give<R>(head.in(y, 0, 1), head.stride(1), first, q, sum, [&](int i) { return total[i]; });
}

// dS = P · (dP − δ)   dP = dy vᵀ · keep / (1 − p)   δ = Σ dP · P along a row = dy · y   dq = dS k / √D
//
// delta (B, H, T) is written here, for attention_backward_kv, which is launched after this.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_backward_q(const REAL *dy, const REAL *qkv, const REAL *y, const float *lse, float *delta, REAL *dqkv,
                     const void *keep, unsigned long long threshold, float scale, int T, int H, int D,
                     float root) {
    constexpr int R = BACKWARD_ROWS;
    typedef Tile<R> Rows;
    DYNAMIC_SHARED(REAL, q);  // and dy, (ROWS, LD) each, then STAGES of k and v, (COLS, LD) each, then room for weights
    REAL *const dheads = q + Rows::ROWS * LD, *const stages = q + 2 * Rows::ROWS * LD;
    float *const scratch = (float *)(stages + STAGES * 2 * COLS * LD);

    const Head head{T, H, D};
    const int first = (gridDim.y - 1 - blockIdx.y) * Rows::ROWS;
    const float slope = root * LOG2_E;  // e^S = 2^(q · k · slope)
    const Dropout dropout(keep, threshold, T, H);
    const int stride = head.stride(3), tiles = (min(first + Rows::ROWS, T) + COLS - 1) / COLS;
    const REAL *const dy_head = head.in(dy, 0, 1), *const y_head = head.in(y, 0, 1);
    float row_lse[R], row_delta[R], sum[R][AT] = {};

    const auto fetch_keys = [&](int tile) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        head.fetch<COLS>(stage, head.in(qkv, 1, 3), stride, tile * COLS);
        head.fetch<COLS>(stage + COLS * LD, head.in(qkv, 2, 3), stride, tile * COLS);
    };
    head.fetch<Rows::ROWS>(q, head.in(qkv, 0, 3), stride, first);
    head.fetch<Rows::ROWS>(dheads, dy_head, head.stride(1), first);
    fetch_keys(0);
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = first + Rows::row(i);
        const long long at = (long long)blockIdx.x * T + row;
        row_lse[i] = row < T ? lse[at] : INFINITY;  // P of a row that is not there is 0
        row_delta[i] = row < T ? head.product(dy_head + (long long)row * head.stride(1), y_head + (long long)row * head.stride(1)) : 0;
        row_delta[i] = group_sum(row_delta[i]);
        if (threadIdx.x % GROUP == 0 && row < T) delta[at] = row_delta[i];
    }
    for (int tile = 0; tile < tiles; tile++) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        const int key = tile * COLS;
        turn_to<2 * Rows::ROWS>(tile, 0, tiles, q, stage, fetch_keys);
        if (key > first + Rows::highest()) continue;

        float s[R][CT], ds[R][CT];
        Rows::scores(s, q, stage);
        Rows::scores(ds, dheads, stage + COLS * LD);
        if (key + COLS > first + Rows::lowest()) hide_future<false>(s, key - first);
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < CT; j++) {
                const float p = exp2_fast(fmaf(s[i][j], slope, -row_lse[i]));
                const bool kept = dropout.keeps(first + Rows::row(i), key + Rows::col(j));
                ds[i][j] = p * (kept ? fmaf(ds[i][j], scale, -row_delta[i]) : -row_delta[i]);
            }
        Rows::accumulate(sum, ds, stage, scratch);
    }
    head.give<R>(head.in(dqkv, 0, 3), stride, first, q, sum, [=](int) { return root; });
}

// dk = dSᵀ q / √D   dv = (P · keep / (1 − p))ᵀ dy; the rows of a block are keys here, and its tiles queries
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_backward_kv(const REAL *dy, const REAL *qkv, const float *lse, const float *delta, REAL *dqkv,
                      const void *keep, unsigned long long threshold, float scale, int T, int H, int D,
                     float root) {
    constexpr int R = BACKWARD_ROWS;
    typedef Tile<R> Rows;
    DYNAMIC_SHARED(REAL, k);  // and v, (ROWS, LD) each, STAGES of q and dy, (COLS, LD) each, then lse and delta
    REAL *const v = k + Rows::ROWS * LD, *const stages = k + 2 * Rows::ROWS * LD;
    float *const numbers = (float *)(stages + STAGES * 2 * COLS * LD), *const scratch = numbers + STAGES * 2 * COLS;

    const Head head{T, H, D};
    const int first = blockIdx.y * Rows::ROWS;
    const float slope = root * LOG2_E;  // e^S = 2^(q · k · slope)
    const Dropout dropout(keep, threshold, T, H);
    const int stride = head.stride(3), tiles = (T + COLS - 1) / COLS;
    const REAL *const q = head.in(qkv, 0, 3), *const dheads = head.in(dy, 0, 1);
    lse += (long long)blockIdx.x * T, delta += (long long)blockIdx.x * T;
    float dk[R][AT] = {}, dv[R][AT] = {};

    const auto fetch_queries = [&](int tile) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        head.fetch<COLS>(stage, q, stride, tile * COLS);
        head.fetch<COLS>(stage + COLS * LD, dheads, head.stride(1), tile * COLS);
        if (threadIdx.x < COLS) {
            const int query = tile * COLS + threadIdx.x;
            float *const to = numbers + tile % STAGES * 2 * COLS + threadIdx.x;
            to[0] = query < T ? lse[query] : INFINITY;  // P of a query that is not there is 0
            to[COLS] = query < T ? delta[query] : 0;
        }
    };
    head.fetch<Rows::ROWS>(k, head.in(qkv, 1, 3), stride, first);
    head.fetch<Rows::ROWS>(v, head.in(qkv, 2, 3), stride, first);
    fetch_queries(first / COLS);
    for (int tile = first / COLS; tile < tiles; tile++) {
        REAL *const stage = stages + tile % STAGES * 2 * COLS * LD;
        const float *const tile_lse = numbers + tile % STAGES * 2 * COLS, *const tile_delta = tile_lse + COLS;
        const int query = tile * COLS;
        turn_to<2 * Rows::ROWS>(tile, first / COLS, tiles, k, stage, fetch_queries);
        if (query + COLS <= first + Rows::lowest()) continue;  // all of these queries come before this warp's keys

        float p[R][CT], ds[R][CT];
        Rows::scores(p, k, stage);
        Rows::scores(ds, v, stage + COLS * LD);
        if (query <= first + Rows::highest()) hide_future<true>(p, query - first);
#pragma unroll
        for (int j = 0; j < CT; j++) {
            const float col_lse = tile_lse[Rows::col(j)], col_delta = tile_delta[Rows::col(j)];
#pragma unroll
            for (int i = 0; i < R; i++) {
                const bool kept = dropout.keeps(query + Rows::col(j), first + Rows::row(i));
                p[i][j] = exp2_fast(fmaf(p[i][j], slope, -col_lse));
                ds[i][j] = p[i][j] * (kept ? fmaf(ds[i][j], scale, -col_delta) : -col_delta);
                if (!kept) p[i][j] = 0;
            }
        }
        Rows::accumulate(dv, p, stage + COLS * LD, scratch);
        Rows::accumulate(dk, ds, stage, scratch);
    }
    head.give<R>(head.in(dqkv, 1, 3), stride, first, k, dk, [=](int) { return root; });
    head.give<R>(head.in(dqkv, 2, 3), stride, first, v, dv, [=](int) { return scale; });
}
