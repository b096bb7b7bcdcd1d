// CUDA C++ for g++: its keywords, vector types and built-in functions, as far as kernels here use them.
//
// What is done by a whole warp is `shim::gather(place, mask, mine)`: every lane gives a value (of any trivial type) and
// gets an array of what all lanes gave, by lane. So a warp's matrix product is, in a .cu:
//
//     __device__ inline void mma(float (&d)[4], unsigned (&a)[4], unsigned (&b)[2]) {
//     #ifdef SHIM
//         struct Operands { unsigned a[4], b[2]; } mine = …;
//         const Operands* all = shim::gather(SHIM_HERE, ALL, mine);   // all[lane].a[i]
//         …                                                           // this lane's d, from whichever lanes it takes
//     #else
//         asm("mma.sync …");
//     #endif
//     }
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include "grid.h"

#define SHIM_TEXT_(x) #x
#define SHIM_TEXT(x) SHIM_TEXT_(x)
#define SHIM_HERE __FILE__ ":" SHIM_TEXT(__LINE__)

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static __thread
#define DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(shim::dynamic_shared(*shim::current->block))

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

// barriers, votes and shuffles

#define __syncthreads() shim::barrier(SHIM_HERE)
#define __syncthreads_count(p) shim::barrier(SHIM_HERE, p)
#define __syncthreads_or(p) (shim::barrier(SHIM_HERE, p) > 0)
#define __syncthreads_and(p) (shim::barrier(SHIM_HERE, !(p)) == 0)
#define __syncwarp(...) shim::syncwarp(SHIM_HERE, ##__VA_ARGS__)
#define __shfl_sync(mask, x, ...) shim::shuffle(SHIM_HERE, mask, x, shim::from_lane, __VA_ARGS__)
#define __shfl_xor_sync(mask, x, ...) shim::shuffle(SHIM_HERE, mask, x, shim::from_xor, __VA_ARGS__)
#define __shfl_down_sync(mask, x, ...) shim::shuffle(SHIM_HERE, mask, x, shim::from_below, __VA_ARGS__)
#define __shfl_up_sync(mask, x, ...) shim::shuffle(SHIM_HERE, mask, x, shim::from_above, __VA_ARGS__)
#define __ballot_sync(mask, p) shim::ballot(SHIM_HERE, mask, p)
#define __any_sync(mask, p) (shim::ballot(SHIM_HERE, mask, p) != 0)
#define __all_sync(mask, p) (shim::ballot(SHIM_HERE, mask, p) == (mask))

namespace shim {

inline void syncwarp(const char* place, unsigned mask = ~0u) { gather(place, mask, 0); }

inline unsigned ballot(const char* place, unsigned mask, bool p) {
    const bool* all = gather(place, mask, p);
    unsigned bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (mask >> i & 1 && all[i]) << i;
    return bits;
}

// The lane a shuffle reads, within its segment of `width` lanes; it keeps its own value where there is none.
inline int from_lane(int lane, int n, int width) { return lane / width * width + n % width; }
inline int from_xor(int lane, int n, int width) { return (lane ^ n) < (lane / width + 1) * width ? lane ^ n : lane; }
inline int from_below(int lane, int n, int width) { return lane % width + n < width ? lane + n : lane; }
inline int from_above(int lane, int n, int width) { return lane % width >= n ? lane - n : lane; }

template <class T>
T shuffle(const char* place, unsigned mask, T x, int (*source)(int, int, int), int n, int width = LANES) {
    int lane = source(current->lane, n, width);
    T got = gather(place, mask, x)[lane];
    if (!(mask >> lane & 1)) give_up(std::string("a shuffle reads a lane outside its mask, at ") + place);
    return got;
}

}  // namespace shim

// memory

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcs(T* p, T x) { *p = x; }
template <class T> void __stcg(T* p, T x) { *p = x; }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T, class F> T shim_atomic(T* p, F change) {
    static_assert(std::is_integral<T>::value, "floats are added up in a fixed order here, never by atomics");
    T before = *p;
    *p = change(before);
    return before;
}
template <class T> T atomicAdd(T* p, T x) { return shim_atomic(p, [=](T y) { return y + x; }); }
template <class T> T atomicMax(T* p, T x) { return shim_atomic(p, [=](T y) { return y > x ? y : x; }); }
template <class T> T atomicOr(T* p, T x) { return shim_atomic(p, [=](T y) { return y | x; }); }
template <class T> T atomicExch(T* p, T x) { return shim_atomic(p, [=](T) { return x; }); }
template <class T> T atomicCAS(T* p, T x, T z) { return shim_atomic(p, [=](T y) { return y == x ? z : y; }); }

// bits and numbers

template <class To, class From> To shim_bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    memcpy(&y, &x, sizeof x);
    return y;
}
inline float __uint_as_float(unsigned x) { return shim_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return shim_bits<unsigned>(x); }
inline float __int_as_float(int x) { return shim_bits<float>(x); }
inline int __float_as_int(float x) { return shim_bits<int>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
template <class T> T min(T a, T b) { return b < a ? b : a; }
template <class T> T max(T a, T b) { return a < b ? b : a; }
