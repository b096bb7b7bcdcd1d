// layer_norm:  y = x̂ · weight + bias   x̂ = (x − μ) · rstd   rstd = 1/√(σ² + ε)   over each of `rows` rows of C numbers.
//
// Forward: a warp a row, which is read three times: for μ, for σ² and for y; from global memory only the first time,
// then from L1. Kept for the backward: x itself, and mean and rstd (rows,) in float32.
//
// Backward, in one launch: dx = (dx̂ − mean(dx̂) − x̂ · mean(dx̂ · x̂)) · rstd   with dx̂ = dy · weight
//                          dweight = Σ dy · x̂   dbias = Σ dy   over all rows
// A block takes rows in tiles of as many as it has warps. First each warp finds the two means of one row; then the
// threads turn into columns × groups: a thread has N neighbouring columns and every blockDim.y-th row of the tile,
// for which it writes dx and adds to its share of dweight and dbias, in registers. At the end groups add up in shared
// memory, and blocks by sum_over_blocks.

template <int N> __device__ void forward_row(REAL* y, float* mean, float* rstd, const REAL* x, const REAL* weight,
                                             const REAL* bias, int C, float eps) {
    int first = threadIdx.x * N;
    float v[N], w[N], b[N], sum = 0, squares = 0;
    for (int c = first; c < C; c += WARP * N) {
        load(v, x + c);
        for (int i = 0; i < N; i++) sum += v[i];
    }
    float m = warp_sum(sum) / C;
    for (int c = first; c < C; c += WARP * N) {
        load(v, x + c);
        for (int i = 0; i < N; i++) squares += (v[i] - m) * (v[i] - m);
    }
    float r = 1 / sqrtf(warp_sum(squares) / C + eps);
    for (int c = first; c < C; c += WARP * N) {
        load(v, x + c);
        if (weight) load(w, weight + c);
        if (bias) load(b, bias + c);
        for (int i = 0; i < N; i++) v[i] = (v[i] - m) * r * (weight ? w[i] : 1) + (bias ? b[i] : 0);
        store(y + c, v);
    }
    if (threadIdx.x == 0) *mean = m, *rstd = r;
}

// y, x (rows, C)  mean, rstd (rows,)  weight, bias (C,) or null; blocks of (32, rows of it) threads
extern "C" __global__ void layer_norm_forward(REAL* y, float* mean, float* rstd, const REAL* x, const REAL* weight,
                                              const REAL* bias, int rows, int C, int packed, float eps) {
    long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += row * C, y += row * C, mean += row, rstd += row;
    if (packed) forward_row<PACK>(y, mean, rstd, x, weight, bias, C, eps);
    else forward_row<1>(y, mean, rstd, x, weight, bias, C, eps);
}

constexpr int THREADS = 512;  // at most, of a block of the backward

struct Rows {
    REAL* dx;
    const REAL *dy, *x, *weight;
    const float *mean, *rstd;
    int rows, C;
    bool add;
};

// mean(dx̂) and mean(dx̂ · x̂) of one row, by one warp
template <int N> __device__ float2 means_of_row(const Rows& a, long long row, int lane) {
    float dy[N], x[N], w[N], m = a.mean[row], r = a.rstd[row], sum = 0, sum_x_hat = 0;
    for (int c = lane * N; c < a.C; c += WARP * N) {
        load(dy, a.dy + row * a.C + c);
        load(x, a.x + row * a.C + c);
        if (a.weight) load(w, a.weight + c);
        for (int j = 0; j < N; j++) {
            float dx_hat = dy[j] * (a.weight ? w[j] : 1);
            sum += dx_hat;
            sum_x_hat += dx_hat * (x[j] - m) * r;
        }
    }
    return make_float2(warp_sum(sum) / a.C, warp_sum(sum_x_hat) / a.C);
}

// dx of the block's rows and columns; dweight and dbias summed over its rows into sums (2, blockDim.x * N)
template <int N> __device__ void backward_rows(const Rows& a, float* sums) {
    __shared__ float2 means[THREADS / WARP];
    int thread = thread_of_block(), warps = threads_of_block() / WARP, warp = thread / WARP;
    int c = (blockIdx.y * blockDim.x + threadIdx.x) * N;
    float dy[N], x[N], w[N], dx[N], dweight[N] = {}, dbias[N] = {};
    if (a.weight && c < a.C) load(w, a.weight + c);
    for (long long tile = (long long)blockIdx.x * warps; tile < a.rows; tile += (long long)gridDim.x * warps) {
        if (tile + warp < a.rows) {
            float2 of_row = means_of_row<N>(a, tile + warp, thread % WARP);
            if (thread % WARP == 0) means[warp] = of_row;
        }
        __syncthreads();
        for (int i = threadIdx.y; i < warps && tile + i < a.rows && c < a.C; i += blockDim.y) {
            long long row = tile + i, at = row * a.C + c;
            float m = a.mean[row], r = a.rstd[row];
            load(dy, a.dy + at);
            load(x, a.x + at);
            if (a.add) load(dx, a.dx + at);
            for (int j = 0; j < N; j++) {
                float x_hat = (x[j] - m) * r, dx_hat = dy[j] * (a.weight ? w[j] : 1);
                dweight[j] += dy[j] * x_hat;
                dbias[j] += dy[j];
                dx[j] = (dx_hat - means[i].x - x_hat * means[i].y) * r + (a.add ? dx[j] : 0);
            }
            if (a.dx) store(a.dx + at, dx);
        }
        __syncthreads();  // the means have been read
    }
    for (int group = 0; group < blockDim.y; group++) {
        float* sum = sums + threadIdx.x * N;
        for (int j = 0; j < N && group == threadIdx.y; j++) {
            sum[j] = dweight[j] + (group ? sum[j] : 0);
            sum[blockDim.x * N + j] = dbias[j] + (group ? sum[blockDim.x * N + j] : 0);
        }
        __syncthreads();
    }
}

// dx, dy, x (rows, C)  mean, rstd (rows,)  weight, dweight, dbias (C,), each of the d… null where it is not needed
// add_…: whether to add to what is there. Blocks of (columns / N, groups) threads, whole warps; a grid of (any number,
// enough for all columns). parts (gridDim.y, gridDim.x, 2, columns), counters (gridDim.y, 1 + gridDim.x)
extern "C" __global__ void __launch_bounds__(THREADS, 2)
layer_norm_backward(REAL* dx, float* dweight, float* dbias, float* parts, int* counters, const REAL* dy, const REAL* x,
                    const float* mean, const float* rstd, const REAL* weight, int rows, int C, int packed,
                    int add_dx, int add_dweight, int add_dbias) {
    __shared__ float sums[2 * THREADS * PACK];
    Rows a = {dx, dy, x, weight, mean, rstd, rows, C, add_dx != 0};
    if (packed) backward_rows<PACK>(a, sums);
    else backward_rows<1>(a, sums);
    if (!dweight && !dbias) return;
    int columns = blockDim.x * (packed ? PACK : 1), threads = threads_of_block(), thread = thread_of_block();
    parts += (long long)blockIdx.y * gridDim.x * 2 * columns;
    float* part = parts + (long long)blockIdx.x * 2 * columns;
    for (int i = thread; i < 2 * columns; i += threads) part[i] = sums[i];
    if (!sum_over_blocks(parts, 2 * columns, counters + blockIdx.y * (1 + gridDim.x))) return;
    for (int i = thread; i < columns && blockIdx.y * columns + i < C; i += threads) {
        int c = blockIdx.y * columns + i;
        if (dweight) dweight[c] = parts[i] + (add_dweight ? dweight[c] : 0);
        if (dbias) dbias[c] = parts[columns + i] + (add_dbias ? dbias[c] : 0);
    }
}
