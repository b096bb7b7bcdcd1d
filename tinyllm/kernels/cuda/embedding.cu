// embedding:  y (n, C) = weight[ids]    dweight[v] = Σ dy[i] over the positions i with ids[i] = v, in their order
//
// ids are int32, or int64 of which the lower half is read (stride 2); all are < V, the host has looked. The backward
// adds to the rows of dweight (V, C) float32 that occur and touches no other: where the table is the output layer too,
// the gradient of that is in it already. No atomics, so the same input gives the same bits, in two launches:
//
// 1. embedding_order sorts the positions by id, and those of one id among themselves: the place of i is the number of
//    positions before it in that order, which are counted. n² comparisons of registers are few beside a training
//    step: 10⁹ for n = 32,768, of 3·10¹³ instructions a second.
// 2. embedding_backward: one block an id, that of the first of its positions. A warp adds up 32 of them after the
//    other, the next warp the next 32; then the warps' sums are added.

__device__ inline int id_of(const void* ids, long long i, int stride) {
    return reinterpret_cast<const int*>(ids)[i * stride];
}

// a block a row
extern "C" __global__ void embedding_forward(REAL* y, const void* ids, const REAL* weight, int stride, int C,
                                             int packed) {
    const REAL* from = weight + (long long)id_of(ids, blockIdx.x, stride) * C;
    y += (long long)blockIdx.x * C;
    if (packed)
        for (int c = threadIdx.x * PACK; c < C; c += blockDim.x * PACK)
            *reinterpret_cast<uint4*>(y + c) = *reinterpret_cast<const uint4*>(from + c);
    else
        for (int c = threadIdx.x; c < C; c += blockDim.x) y[c] = from[c];
}

constexpr int EACH = 4;   // positions of a lane
constexpr int PARTS = 8;  // warps of a block: all have the same positions, each compares them with its part of all
constexpr int TILE = EACH * WARP;

// order, sorted (n): the positions in their order, and their ids; a block of (32, PARTS) has TILE positions
extern "C" __global__ void embedding_order(int* order, int* sorted, const void* ids, int stride, int n) {
    __shared__ int counts[PARTS][TILE];
    int first = blockIdx.x * TILE, part = threadIdx.y, lane = threadIdx.x, id[EACH], before[EACH] = {};
    for (int k = 0; k < EACH; k++) {
        int i = first + k * WARP + lane;
        id[k] = i < n ? id_of(ids, i, stride) : 0;
    }
#pragma unroll 4
    for (int j = part; j < first; j += PARTS) {
        int other = id_of(ids, j, stride);
        for (int k = 0; k < EACH; k++) before[k] += other <= id[k];
    }
    for (int j = first + part; j < min(first + TILE, n); j += PARTS) {
        int other = id_of(ids, j, stride);
        for (int k = 0; k < EACH; k++) before[k] += other < id[k] || (other == id[k] && j < first + k * WARP + lane);
    }
#pragma unroll 4
    for (int j = first + TILE + part; j < n; j += PARTS) {
        int other = id_of(ids, j, stride);
        for (int k = 0; k < EACH; k++) before[k] += other < id[k];
    }
    for (int k = 0; k < EACH; k++) counts[part][k * WARP + lane] = before[k];
    __syncthreads();
    int mine = part * WARP + lane, i = first + mine, place = 0;
    if (mine >= TILE || i >= n) return;
    for (int p = 0; p < PARTS; p++) place += counts[p][mine];
    order[place] = i;
    sorted[place] = id_of(ids, i, stride);
}

constexpr int WARPS = 16;  // at most, of a block of embedding_backward

template <int N> __device__ void add_rows(float* dweight, const REAL* dy, const int* order, const int* sorted, int id,
                                          int n, int C) {
    __shared__ float sums[WARPS - 1][WARP * N];
    int lane = threadIdx.x, warp = threadIdx.y;
    bool many = blockIdx.x + WARP < n && sorted[blockIdx.x + WARP] == id;  // more than the first warp takes
    if (!many && warp) return;
    for (int c = lane * N; c - lane * N < C; c += WARP * N) {
        float d[N], sum[N] = {};
        int count = WARP;
        for (int tile = blockIdx.x + warp * WARP; tile < n && count == WARP; tile += blockDim.y * WARP) {
            bool mine = tile + lane < n && sorted[tile + lane] == id;
            int i = mine ? order[tile + lane] : 0;
            count = __popc(__ballot_sync(ALL, mine));
#pragma unroll 4
            for (int k = 0; k < count; k++) {
                long long row = __shfl_sync(ALL, i, k);
                if (c >= C) continue;
                load(d, dy + row * C + c);
                for (int j = 0; j < N; j++) sum[j] += d[j];
            }
        }
        if (many) {
            if (warp)
                for (int j = 0; j < N; j++) sums[warp - 1][lane * N + j] = sum[j];
            __syncthreads();
            for (int w = 1; w < blockDim.y && !warp; w++)
                for (int j = 0; j < N; j++) sum[j] += sums[w - 1][lane * N + j];
            __syncthreads();  // the sums have been read
        }
        if (warp || c >= C) continue;
        float* to = dweight + (long long)id * C + c;
        load(d, to);
        for (int j = 0; j < N; j++) d[j] += sum[j];
        store(to, d);
    }
}

// a block of (32, at most WARPS) for each place in the order; it ends at once where its id has come before
extern "C" __global__ void __launch_bounds__(WARPS * WARP)
embedding_backward(float* dweight, const REAL* dy, const int* order, const int* sorted, int n, int C, int packed) {
    int id = sorted[blockIdx.x];
    if (blockIdx.x && sorted[blockIdx.x - 1] == id) return;
    if (packed) add_rows<PACK>(dweight, dy, order, sorted, id, n, C);
    else add_rows<1>(dweight, dy, order, sorted, id, n, C);
}
