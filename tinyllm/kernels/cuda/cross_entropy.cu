// cross_entropy:  lossₙ = log Σⱼ e^xₙⱼ − xₙ[targetₙ]   loss = Σ lossₙ / count   over the rows whose target counts
//                 gradientₙⱼ = e^(xₙⱼ − log Σ) − [j = targetₙ]   written over xₙⱼ; times dy / count it is dloss/dxₙⱼ
//
// A block a row of V scores, which begins at a multiple of 16 bytes. It is read twice, the second time from the L2
// cache: first each thread finds the largest of its numbers and Σ e^(x − largest) as it goes, then the block joins
// these. The block that comes last adds up the losses of all rows, in a fixed order, and counts.

__device__ inline float block_max(float x) {
    __shared__ float largest[WARP];  // of each warp
    int thread = thread_of_block(), lane = thread % WARP;
    x = warp_max(x);
    if (lane == 0) largest[thread / WARP] = x;
    __syncthreads();
    return warp_max(lane < threads_of_block() / WARP ? largest[lane] : -INFINITY);
}

// What is subtracted in an exponent where x is the largest: nothing where all are −∞, so that NaN is what is NaN.
__device__ inline float base(float x) { return x == -INFINITY ? 0 : x; }

// log Σ e^x over a row is base + log: two numbers, since x − base is exact where their sum would swallow the smaller.
struct LogSum { float base, log; };

__device__ inline LogSum log_sum_exp(const REAL* x, int V) {
    float v[PACK], top = -INFINITY, total = 0;
    for (int c = threadIdx.x * PACK; c < V; c += blockDim.x * PACK) {
        load(v, x + c);
        float largest = top;
#pragma unroll
        for (int i = 0; i < PACK; i++) largest = fmaxf(largest, c + i < V ? v[i] : -INFINITY);
        total *= expf(top - base(largest));
#pragma unroll
        for (int i = 0; i < PACK; i++) total += c + i < V ? expf(v[i] - base(largest)) : 0;
        top = largest;
    }
    float largest = base(block_max(top));
    return {largest, logf(block_sum(total * expf(top - largest)))};
}

__device__ inline void write_gradient(REAL* x, int V, LogSum sum, long long target) {
    float v[PACK];
    for (int c = threadIdx.x * PACK; c < V; c += blockDim.x * PACK) {
        load(v, x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] = c + i < V ? expf(v[i] - sum.base - sum.log) - (c + i == target) : 0;
        store(x + c, v);
    }
}

__device__ inline void write_zeros(REAL* x, int V) {
    float zeros[PACK] = {};
    for (int c = threadIdx.x * PACK; c < V; c += blockDim.x * PACK) store(x + c, zeros);
}

// x (rows, leading), of which V columns are scores  targets, losses (rows,)  loss (), NaN where no target counts
// share (): 1 / count. gradient: whether x becomes it. A target that is none of the V classes makes the loss NaN.
extern "C" __global__ void __launch_bounds__(1024)
cross_entropy(REAL* x, const long long* targets, float* losses, float* loss, float* share, int* counter, int V,
              int leading, long long ignored, int gradient) {
    const float nothing = __uint_as_float(0x7fffffff);  // NaN
    x += (long long)blockIdx.x * leading;
    long long target = targets[blockIdx.x];
    if (target == ignored) {
        if (gradient) write_zeros(x, V);
        if (threadIdx.x == 0) losses[blockIdx.x] = 0;
    } else {
        float answer = target >= 0 && target < V ? to_float(x[target]) : nothing;
        LogSum log_sum = log_sum_exp(x, V);
        if (threadIdx.x == 0) losses[blockIdx.x] = log_sum.log - (answer - log_sum.base);
        if (gradient) write_gradient(x, V, log_sum, target);
    }
    if (!last_of(gridDim.x, counter)) return;
    float sum = 0, count = 0;
    for (int row = threadIdx.x; row < gridDim.x; row += blockDim.x) {
        sum += __ldcg(losses + row);
        count += targets[row] != ignored;
    }
    sum = block_sum(sum);
    count = block_sum(count);
    if (threadIdx.x == 0) {
        *loss = count > 0 ? sum / count : nothing;
        *share = 1 / fmaxf(count, 1);
    }
}
