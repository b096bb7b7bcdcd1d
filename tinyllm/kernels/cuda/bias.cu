// What is left of a bias where no product takes it along:  y (rows, C) += bias (C,)   and   sums (C,) = Σ rows of x.
//
// add_bias: a thread N neighbours at a time, a grid that strides. sum_rows: a block has 32 · N columns and every
// gridDim.x-th tile of as many rows as it has groups; its groups add up in shared memory, blocks through `parts`.

template <int N> __device__ void add_to_rows(REAL* y, const REAL* bias, long long count, int C) {
    float a[N], b[N];
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N; i < count;
         i += (long long)gridDim.x * blockDim.x * N) {
        load(a, y + i);
        load(b, bias + i % C);
#pragma unroll
        for (int j = 0; j < N; j++) a[j] += b[j];
        store(y + i, a);
    }
}

// count: numbers in y
extern "C" __global__ void __launch_bounds__(256)
add_bias(REAL* y, const REAL* bias, long long count, int C, int packed) {
    if (packed) add_to_rows<PACK>(y, bias, count, C);
    else add_to_rows<1>(y, bias, count, C);
}

constexpr int GROUPS = 16;  // of threads, each of a warp, in a block of sum_rows

template <int N> __device__ void sum_of_block(float* part, const REAL* x, int rows, int C) {
    __shared__ float sums[GROUPS][WARP * N];
    int c = (blockIdx.y * WARP + threadIdx.x) * N;
    float v[N], sum[N] = {};
    if (c < C) {
#pragma unroll 4
        for (long long row = (long long)blockIdx.x * GROUPS + threadIdx.y; row < rows; row += gridDim.x * GROUPS) {
            load(v, x + row * C + c);
#pragma unroll
            for (int j = 0; j < N; j++) sum[j] += v[j];
        }
    }
#pragma unroll
    for (int j = 0; j < N; j++) sums[threadIdx.y][threadIdx.x * N + j] = sum[j];
    __syncthreads();
    for (int i = thread_of_block(); i < WARP * N; i += WARP * GROUPS) {
        float total = 0;
        for (int group = 0; group < GROUPS; group++) total += sums[group][i];
        part[i] = total;
    }
}

// sums (C,) is float where it is wide, else REAL; add: to what is there. Blocks of (32, GROUPS) threads, a grid of (any
// number, enough for all columns). parts (gridDim.y, gridDim.x, 32 · N)  counters (gridDim.y, 1 + gridDim.x)
extern "C" __global__ void __launch_bounds__(32 * 16)
sum_rows(void* sums, float* parts, int* counters, const REAL* x, int rows, int C, int packed, int wide, int add) {
    int columns = WARP * (packed ? PACK : 1);
    parts += (long long)blockIdx.y * gridDim.x * columns;
    if (packed) sum_of_block<PACK>(parts + blockIdx.x * columns, x, rows, C);
    else sum_of_block<1>(parts + blockIdx.x * columns, x, rows, C);
    if (!sum_over_blocks(parts, columns, counters + blockIdx.y * (1 + gridDim.x))) return;
    int i = thread_of_block(), c = blockIdx.y * columns + i;
    if (i >= columns || c >= C) return;
    if (wide) {
        float* to = (float*)sums + c;
        *to = parts[i] + (add ? *to : 0);
    } else {
        REAL* to = (REAL*)sums + c;
        *to = from_float<REAL>(parts[i] + (add ? to_float(*to) : 0));
    }
}
