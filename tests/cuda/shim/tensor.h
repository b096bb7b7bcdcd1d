// What attention_mma.cuh and attention_tiles.cuh have of the hardware: tensor cores, ldmatrix, asynchronous copies.
#pragma once
#include <cstdlib>
#include "cuda.h"

namespace shim {

struct Operands { unsigned a[4], b[2]; };

// c += a b, of which every lane has its part: product(x, y) of two units of 4 bytes.
template <class F> void mma(const char* place, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, F product) {
    const Operands* all = gather(place, ~0u, Operands{{a[0], a[1], a[2], a[3]}, {b0, b1}});
    for (int i = 0; i < 4; i++) {
        int row = current->lane / 4 + i / 2 * 8, col = current->lane % 4 * 2 + i % 2;
        for (int k = 0; k < 8; k++)
            c[i] += product(all[row % 8 * 4 + k % 4].a[row / 8 + k / 4 * 2], all[col * 4 + k % 4].b[k / 4]);
    }
}

inline void pieces(const char* place, unsigned (&x)[4], const void* row, bool transposed) {
    const void* const* rows = gather(place, ~0u, row);
    int g = current->lane / 4, q = current->lane % 4;
    for (int i = 0; i < LANES; i++)
        if ((size_t)rows[i] % 16) give_up(std::string("ldmatrix of a misaligned address, at ") + place);
    for (int i = 0; i < 4; i++)
        if (transposed)
            x[i] = ((const unsigned short*)rows[i * 8 + 2 * q])[g] | ((const unsigned short*)rows[i * 8 + 2 * q + 1])[g] << 16;
        else
            x[i] = ((const unsigned*)rows[i * 8 + g])[q];
}

struct Copy { void* to; const void* from; };
static std::map<Thread*, std::vector<Copy>> copies;  // on their way

}  // namespace shim

// A unit is two bf16, or one float, of which tensor cores take the upper 19 bits.
#define mma_bf16(c, a, b0, b1) shim::mma(SHIM_HERE, c, a, b0, b1, [](unsigned x, unsigned y) {                       \
    return __uint_as_float(x << 16) * __uint_as_float(y << 16)                                                      \
         + __uint_as_float(x & 0xffff0000) * __uint_as_float(y & 0xffff0000); })
#define mma_tf32(c, a, b0, b1) shim::mma(SHIM_HERE, c, a, b0, b1, [](unsigned x, unsigned y) {                       \
    return __uint_as_float(x & ~0x1fffu) * __uint_as_float(y & ~0x1fffu); })
#define ldmatrix(x, row) shim::pieces(SHIM_HERE, x, row, false)
#define ldmatrix_transposed(x, row) shim::pieces(SHIM_HERE, x, row, true)

inline float to_tf32(float x) { return x == x ? __uint_as_float((__float_as_uint(x) + 0x1000) & ~0x1fffu) : x; }

inline unsigned two_bf16(float low, float high) {
    auto bits = [](float x) {
        unsigned u = __float_as_uint(x);
        return x == x ? (u + 0x7fff + (u >> 16 & 1)) >> 16 : 0x7fff;
    };
    return bits(low) | bits(high) << 16;
}

// 16 bytes that are read and written when the thread waits for them, and not before; zeros, where nothing is there.
inline void copy_async(void* to, const void* from, bool there) {
    if ((size_t)to % 16 || (size_t)from % 16) shim::give_up("cp.async of a misaligned address");
    shim::copies[shim::current].push_back({to, there ? from : nullptr});
}
inline void arrive() {
    for (const shim::Copy& copy : shim::copies[shim::current])
        if (copy.from) memcpy(copy.to, copy.from, 16); else memset(copy.to, 0, 16);
    shim::copies.erase(shim::current);
}
