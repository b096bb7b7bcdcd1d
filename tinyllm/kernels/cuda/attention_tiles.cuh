// What the attention kernels share: how a tile lies in shared memory, its way from and to a head, and dropout.

constexpr int THREADS = 128;
constexpr int LD = HEAD + PACK;  // from row to row: 16 bytes more than a row, so that neighbours lie in other banks

constexpr float LOG2_E = 1.4426950408889634f;  // e^S = 2^(S · LOG2_E)

// 2^x as the hardware has it, wrong by 2 in the last place; 0 for what would be denormal.
__device__ __forceinline__ float exp2_fast(float x) {
#ifdef SHIM
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

#if TENSOR_CORES
#include "attention_mma.cuh"
#else
#include "attention_fma.cuh"
#endif

// Copies

#ifndef SHIM
// 16 bytes on their way to shared memory (zeros, where there is nothing), until this thread says `arrive`.
__device__ __forceinline__ void copy_async(void *to, const void *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
}
__device__ __forceinline__ void arrive() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

// The head this block works on: of which sequence, and where.
struct Head {
    int T, H, channels;

    __device__ __forceinline__ int D() const { return EXACT ? HEAD : channels; }

    // Its first token inside x (B, T, parts, H, D), of which the next one is stride(parts) further.
    template <class X> __device__ __forceinline__ X *in(X *x, int part, int parts) const {
        const int sequence = blockIdx.x / H, head = blockIdx.x % H;
        return x + ((long long)sequence * T * parts + part) * H * D() + head * D();
    }
    __device__ __forceinline__ int stride(int parts) const { return parts * H * D(); }

    // N tokens, from `first` on, to a tile (N, LD); 0 beyond T, and beyond D.
    template <int N>
    __device__ __forceinline__ void fetch(REAL *tile, const REAL *tokens, int stride, int first) const {
#pragma unroll 1  // copies wait for nothing, and more of them at once take registers
        for (int i = threadIdx.x; i < N * HEAD / PACK; i += THREADS) {
            const int row = i / (HEAD / PACK), col = i % (HEAD / PACK) * PACK;
            const REAL *const from = tokens + (long long)(first + row) * stride + col;
            const bool there = first + row < T;
            if (D() % PACK == 0)
                copy_async(tile + row * LD + col, from, there && col < D());
            else
                for (int c = 0; c < PACK; c++)
                    tile[row * LD + col + c] = there && col + c < D() ? from[c] : from_float<REAL>(0);
        }
    }

    // sum · factor(i) of all threads' rows, by way of a tile of rows: only their own warp has read them, and is done.
    template <int R, class Factor>
    __device__ __forceinline__ void give(REAL *tokens, int stride, int first, REAL *tile, const float (&sum)[R][AT],
                                         Factor factor) const {
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < AT; j++)
                tile[Tile<R>::row(i) * LD + Tile<R>::col(j)] = from_float<REAL>(sum[i][j] * factor(i));
        __syncthreads();
#pragma unroll 2
        for (int i = threadIdx.x; i < Tile<R>::ROWS * HEAD / PACK; i += THREADS) {
            const int row = i / (HEAD / PACK), col = i % (HEAD / PACK) * PACK;
            REAL *const to = tokens + (long long)(first + row) * stride + col;
            const REAL *const from = tile + row * LD + col;
            if (first + row >= T) continue;
            if (D() % PACK == 0) {
                if (col < D()) *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(from);
            } else
                for (int c = 0; c < PACK && col + c < D(); c++) to[c] = from[c];
        }
    }

    // This thread's share (see GROUP) of the scalar product of two rows.
    __device__ __forceinline__ float product(const REAL *a, const REAL *b) const {
        float sum = 0;
        for (int col = threadIdx.x % GROUP; col < D(); col += GROUP) sum += to_float(a[col]) * to_float(b[col]);
        return sum;
    }
};

// What this thread fetched of the tile, rounded as tensor cores take it: they would cut off the lower bits.
template <int N>
__device__ __forceinline__ void round_tile(REAL *tile) {
#if TENSOR_CORES
    if constexpr (sizeof(REAL) == 4) {
        static_assert(N * HEAD / PACK % (2 * THREADS) == 0, "two tiles in a row are shared as each of them is");
#pragma unroll 2
        for (int i = threadIdx.x; i < N * HEAD / PACK; i += THREADS) {
            float x[PACK];
            REAL *const at = tile + i / (HEAD / PACK) * LD + i % (HEAD / PACK) * PACK;
            load(x, at);
            for (int c = 0; c < PACK; c++) x[c] = to_tf32(x[c]);
            store(at, x);
        }
    }
#endif
}

// From here on a tile is in its stage, and the next one on its way to the other stage, if there are two. fetch(tile)
// starts to bring one; the first, begin, was fetched before, together with the block's own `rows`.
template <int ROWS, class Fetch>
__device__ __forceinline__ void turn_to(int tile, int begin, int end, REAL *rows, REAL *stage, Fetch fetch) {
    if (STAGES == 1 && tile > begin) {
        __syncthreads();  // nobody reads the one before any more
        fetch(tile);
    }
    arrive();
    if (tile == begin) round_tile<ROWS>(rows);
    round_tile<2 * COLS>(stage);
    __syncthreads();  // what others fetched is there too, and with two stages, nobody reads the one before any more
    if (STAGES == 2 && tile + 1 < end) fetch(tile + 1);
}

// Scores

// −∞ where a key comes after its query. `ahead`: by how much the first column comes after the first row.
template <bool ROWS_ARE_KEYS, int R>
__device__ __forceinline__ void hide_future(float (&s)[R][CT], int ahead) {
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
        for (int j = 0; j < CT; j++) {
            const int after = ahead + Tile<R>::col(j) - Tile<R>::row(i);
            if (ROWS_ARE_KEYS ? after < 0 : after > 0) s[i][j] = -INFINITY;
        }
}

__device__ __forceinline__ float group_max(float x) {
#pragma unroll
    for (int step = GROUP / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, step));
    return x;
}

__device__ __forceinline__ float group_sum(float x) {
#pragma unroll
    for (int step = GROUP / 2; step; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

// Which weights stay: a mask (B, H, T, T) says so (DROPOUT 1), or its bits are computed here from a counter (DROPOUT 2:
// see DropoutStream.counter in random.py).
struct Dropout {
    const unsigned char *mask;
    unsigned long long first, start, threshold;  // first: the number of this head's first weight in the mask
    int T;

    __device__ Dropout(const void *keep, unsigned long long threshold, int T, int H)
        : mask((const unsigned char *)keep), first((unsigned long long)blockIdx.x * T * T), start(0),
          threshold(threshold), T(T) {
#if DROPOUT == 2
        start = mask_start((const unsigned long long *)keep, (long long)H * T * T);
#endif
    }

    __device__ __forceinline__ bool keeps(int query, int key) const {
#if DROPOUT == 1
        return query < T && key < T && mask[first + (unsigned long long)query * T + key];
#elif DROPOUT == 2
        return random_bits(start, first + (unsigned long long)query * T + key) >= threshold;
#else
        return true;
#endif
    }
};
