// What every kernel here shares: bfloat16, 128-bit accesses, sums over a warp and a block, who is the last block.
//
// Source is common.cuh and then one subject's .cu, one text (no #include: nothing need be installed but the driver and
// NVRTC). REAL is the type of the arrays, float or bf16; whatever is computed with or summed up is float.
// The CPU shim of the tests compiles the same text with SHIM defined.

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)  // NVRTC has no headers, so not this one either
#endif

struct bf16 { unsigned short bits; };  // the upper half of a float: 8 bits of exponent, 7 of mantissa

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

template <class T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x) { return x; }

// To the nearest, of two equally near ones to the even; NaN stays NaN.
template <> __device__ inline bf16 from_float<bf16>(float x) {
#ifdef SHIM
    unsigned u = __float_as_uint(x);
    if (x != x) return bf16{0x7fff};
    return bf16{(unsigned short)((u + 0x7fff + (u >> 16 & 1)) >> 16)};
#else
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
#endif
}

// N neighbours that are read and written in one access: PACK of them are 128 bits, the most there is. Their address must
// be a multiple of 16 bytes: who launches a kernel looks whether it is (see packed() in compile.py), else N is 1.

constexpr int PACK = 16 / sizeof(REAL);

template <class T, int N> struct Bits;
template <> struct Bits<float, 4> { typedef uint4 type; };
template <> struct Bits<bf16, 8> { typedef uint4 type; };
template <> struct Bits<float, 1> { typedef unsigned type; };
template <> struct Bits<bf16, 1> { typedef unsigned short type; };

// A pack of REAL may also be that many floats: as many accesses of 128 bits as it takes.
template <int N, class T> __device__ inline void load(float (&to)[N], const T* from) {
    constexpr int M = N * sizeof(T) > 16 ? 16 / sizeof(T) : N;
    T values[M];
#pragma unroll
    for (int i = 0; i < N; i += M) {
        typename Bits<T, M>::type bits = *reinterpret_cast<const typename Bits<T, M>::type*>(from + i);
        memcpy(values, &bits, sizeof bits);
#pragma unroll
        for (int j = 0; j < M; j++) to[i + j] = to_float(values[j]);
    }
}

template <int N, class T> __device__ inline void store(T* to, const float (&from)[N]) {
    constexpr int M = N * sizeof(T) > 16 ? 16 / sizeof(T) : N;
    T values[M];
#pragma unroll
    for (int i = 0; i < N; i += M) {
#pragma unroll
        for (int j = 0; j < M; j++) values[j] = from_float<T>(from[i + j]);
        typename Bits<T, M>::type bits;
        memcpy(&bits, values, sizeof bits);
        *reinterpret_cast<typename Bits<T, M>::type*>(to + i) = bits;
    }
}

// Sums: every thread gets the result. The order is fixed, so the same input gives the same bits.

constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffff;  // all lanes of a warp

__device__ inline float warp_sum(float x) {
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

__device__ inline float warp_max(float x) {
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, step));
    return x;
}

__device__ inline int thread_of_block() { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }
__device__ inline int threads_of_block() { return blockDim.x * blockDim.y * blockDim.z; }

__device__ inline float block_sum(float x) {
    __shared__ float sums[WARP];  // of each warp
    int thread = thread_of_block(), lane = thread % WARP;
    x = warp_sum(x);
    __syncthreads();  // the sums of the call before have been read
    if (lane == 0) sums[thread / WARP] = x;
    __syncthreads();
    return warp_sum(lane < threads_of_block() / WARP ? sums[lane] : 0);
}

// Shared memory whose size the launch says: T* name, 16 bytes aligned.
#ifndef SHIM
#define DYNAMIC_SHARED(T, name)                                   \
    extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
    T* name = reinterpret_cast<T*>(dynamic_shared)
#endif

// Sums over the blocks of one launch, without a second one and without atomics on floats. Each block writes its part to
// global memory and counts itself; who comes last finds the parts of all others there, and adds them in a fixed order.
// It reads with __ldcg, past its own L1 cache. Counters are 0 before and after.

// Whether this block is the last of `count` to come here.
__device__ inline bool last_of(int count, int* counter) {
    __shared__ bool last;
    __threadfence();  // what this thread wrote is there before it is counted
    __syncthreads();
    if (thread_of_block() == 0) {
        last = atomicAdd(counter, 1) == count - 1;
        if (last) *counter = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

// parts (gridDim.x, width): block b's threads have written parts[b]. True in one block, where parts[0] is now the sum
// over all b. First the last of every ~√blocks neighbours adds theirs up, then the last of these all: two short sums
// where one block would have a long one. counters: 1 + gridDim.x are enough.
__device__ inline bool sum_over_blocks(float* parts, int width, int* counters) {
    int blocks = gridDim.x, near = (int)ceilf(sqrtf((float)blocks)), group = blockIdx.x / near, first = group * near;
    int groups = (blocks + near - 1) / near, thread = thread_of_block(), threads = threads_of_block();
    auto add_up = [=](int first, int stride, int count) {
        for (int i = thread; i < width; i += threads) {
            float sum = 0, *part = parts + (long long)first * width + i;
            for (int k = 0; k < count; k++) sum += __ldcg(part + (long long)k * stride * width);
            *part = sum;
        }
    };
    if (!last_of(min(near, blocks - first), counters + 1 + group)) return false;
    add_up(first, 1, min(near, blocks - first));
    if (!last_of(groups, counters)) return false;
    add_up(0, near, groups);
    __syncthreads();
    return true;
}

// Of an array as n numbers one after the other, this thread's PACK neighbours: at(N, i) is called once with N = PACK,
// where `packed` says that they can be accessed at once, else for one after the other with N = 1, and for a rest.
template <int N> struct Width { constexpr __device__ operator int() const { return N; } };

template <class At> __device__ inline void each(long long n, bool packed, At at) {
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (packed && i + PACK <= n) at(Width<PACK>(), i);
    else
        for (int k = 0; k < PACK && i + k < n; k++) at(Width<1>(), i + k);
}

// The random bits of tinyllm/random.py: element i of a mask has random_bits(start, i). counter: the key of the mask,
// and how many rows of the whole batch come before this part of it; row: how many elements a row of the mask has.

constexpr unsigned long long GOLDEN = 0x9E3779B97F4A7C15;

__device__ inline unsigned long long mask_start(const unsigned long long* counter, unsigned long long row) {
    return counter[0] + counter[1] * row * GOLDEN;
}

__device__ inline unsigned long long random_bits(unsigned long long start, unsigned long long i) {
    unsigned long long z = start + i * GOLDEN;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}
