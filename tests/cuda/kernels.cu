// Kernels for test_shim.py and test_common.py: what the shim must get right, what it must refuse, and each function of
// common.cuh that threads of several warps or blocks do together.

extern "C" __global__ void who(int* out) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * threads_of_block() + thread_of_block()] =
        ((blockIdx.z * 10 + blockIdx.y) * 10 + blockIdx.x) * 1000 + (threadIdx.z * 10 + threadIdx.y) * 10 + threadIdx.x;
}

extern "C" __global__ void shuffles(float* out, const float* x) {
    int i = threadIdx.x, row = blockDim.x;
    out[i] = __shfl_sync(ALL, x[i], 5);
    out[row + i] = __shfl_xor_sync(ALL, x[i], 3);
    out[2 * row + i] = __shfl_down_sync(ALL, x[i], 4);
    out[3 * row + i] = __shfl_up_sync(ALL, x[i], 4);
    out[4 * row + i] = __shfl_down_sync(ALL, x[i], 1, 8);
    unsigned half = i % WARP < 16 ? 0xffff : 0xffff0000;
    out[5 * row + i] = __shfl_xor_sync(half, x[i], 8);
    if (i % WARP < 16) __syncwarp(half);  // one half alone
    out[6 * row + i] = warp_sum(x[i]);
    out[7 * row + i] = warp_max(x[i]);
}

extern "C" __global__ void votes(int* out, const int* x) {
    int i = threadIdx.x, row = blockDim.x;
    out[i] = __ballot_sync(ALL, x[i] > 0);
    out[row + i] = __any_sync(ALL, x[i] > 0);
    out[2 * row + i] = __all_sync(ALL, x[i] > 0);
    out[3 * row + i] = __syncthreads_count(x[i] > 0);
    out[4 * row + i] = __syncthreads_or(x[i] > 0);
    out[5 * row + i] = __syncthreads_and(x[i] > 0);
}

// what shared memory holds before anything is written to it
extern "C" __global__ void poison(float* out) {
    __shared__ float fixed[64];
    DYNAMIC_SHARED(float, asked);
    int i = threadIdx.x, at = blockIdx.x * 2 * blockDim.x + i;
    out[at] = fixed[i];
    out[at + blockDim.x] = asked[i];
    __syncthreads();
    fixed[i] = asked[i] = 1;
}

// the order in which blocks begin
extern "C" __global__ void order(int* out, int* counter) {
    if (threadIdx.x == 0) out[atomicAdd(counter, 1)] = blockIdx.x;
}

extern "C" __global__ void fault(float* out, const float* x, int kind, int n) {
    __shared__ float inside[4];
    int i = threadIdx.x;
    if (kind == 0 && i) __syncthreads();
    if (kind == 1) {
        if (i) __syncthreads();
        else
            __syncthreads();
    }
    if (kind == 2 && i % WARP) __syncwarp();
    if (kind == 3) {
        if (i % 2) __syncwarp();
        else
            warp_sum(0);
    }
    if (kind == 4) out[i] = x[n + i];
    if (kind == 5) out[n + i] = 1;
    if (kind == 6) inside[n] = 1;
    if (kind == 7) {
        float four[PACK];
        load(four, reinterpret_cast<const REAL*>(x + 1));
        out[0] = four[0];
    }
    if (kind == 8) out[i] = __shfl_sync(0xffff, 1.f, 20);
    if (kind == 9) {
        DYNAMIC_SHARED(float, asked);
        asked[n] = 1;
    }
    if (kind == 10 && i % WARP == 0) __syncwarp(0xfffffffe);
    if (kind == 11) __syncwarp();
    if (i == 0 && kind >= 100) out[0] = inside[0] = 1;
}

extern "C" __global__ void deep(float* out, int n) {
    volatile float large[1 << 15];  // as large as the stack
    for (int k = (1 << 15) - 1; k >= n; k--) large[k] = k;
    out[threadIdx.x] = large[n];
}

extern "C" __global__ void sums_of_block(float* out, const float* x) {
    int i = thread_of_block();
    float first = block_sum(x[i]), second = block_sum(first * x[i]);
    out[2 * i] = first;
    out[2 * i + 1] = second;
}

extern "C" __global__ void sums_of_blocks(float* out, float* parts, int* counters, const float* x, int width) {
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        parts[(long long)blockIdx.x * width + i] = x[(long long)blockIdx.x * width + i];
    if (!sum_over_blocks(parts, width, counters)) return;
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[i] = parts[width - 1 - i];
}

extern "C" __global__ void copy(REAL* out, const REAL* x, int n, int packed) {
    int step = packed ? PACK : 1;
    for (int i = threadIdx.x * step; i < n; i += blockDim.x * step) {
        float many[PACK], one[1];
        if (packed) load(many, x + i), store(out + i, many);
        else load(one, x + i), store(out + i, one);
    }
}

extern "C" __global__ void round_to(REAL* out, const float* x, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = from_float<REAL>(x[i]);
}
