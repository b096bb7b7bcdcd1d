// add:  y = a + b, where b may repeat: y (R, n) = a (R, n) + b (n)    db = Σ over R of dy
//
// The residual stream is R = 1, and its backward launches nothing. The position embeddings (T, C) of a batch are
// n = T · C, R = B. A thread has PACK neighbours of the n numbers: of one repetition forward, of all R backward.

// blocks along n, and of repetitions: gridDim.y at once
extern "C" __global__ void add_forward(REAL* y, const REAL* a, const REAL* b, long long n, int R, int packed) {
    each(n, packed, [&](auto N, long long i) {
        float u[N], v[N];
        load(v, b + i);
        for (int r = blockIdx.y; r < R; r += gridDim.y) {
            load(u, a + r * n + i);
            for (int j = 0; j < N; j++) u[j] += v[j];
            store(y + r * n + i, u);
        }
    });
}

extern "C" __global__ void add_backward(REAL* db, const REAL* dy, long long n, int R, int packed) {
    each(n, packed, [&](auto N, long long i) {
        float d[N], sum[N] = {};
#pragma unroll 8
        for (int r = 0; r < R; r++) {
            load(d, dy + r * n + i);
            for (int j = 0; j < N; j++) sum[j] += d[j];
        }
        store(db + i, sum);
    });
}
