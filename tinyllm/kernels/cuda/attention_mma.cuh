// The two products of attention on tensor cores (mma.sync), with float32 sums: 16 × 8 numbers of a tile a warp at once.
//
//     bf16   m16n8k16: a 16 × 16, b 16 × 8           tf32   m16n8k8: a 16 × 8, b 8 × 8
//
// In units of 4 bytes (two bf16, or one float) both read their operands the same way: with g = lane / 4, q = lane % 4,
// a is (g, q) (g + 8, q) (g, q + 4) (g + 8, q + 4) and b, whose columns lie in rows of memory, (g, q) (g, q + 4).
// ldmatrix reads four such 8 × 4 pieces; rows lie LD = HEAD + 16 bytes apart, an odd multiple of 16, so the eight rows
// of a piece lie in different banks. The sum c is (g, 2q) (g, 2q + 1) (g + 8, 2q) (g + 8, 2q + 1).

constexpr int CT = COLS / 4, AT = HEAD / 4;  // columns of a thread: of a tile of scores, and of a sum
constexpr int GROUP = 4;       // threads, neighbours, that share their rows
constexpr int K = 2 * PACK;    // how many products one mma adds up: 16 of bf16, 8 of tf32

#ifndef SHIM
// c += a b
__device__ __forceinline__ void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma_tf32(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 × 16-byte pieces: lane i says where row i % 8 of piece i / 8 is, and gets unit (g, q) of each.
__device__ __forceinline__ void ldmatrix(unsigned (&x)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// The same of 2-byte numbers, each piece transposed: a lane gets (2q, g) and (2q + 1, g).
__device__ __forceinline__ void ldmatrix_transposed(unsigned (&x)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// The nearest float of 10 bits of mantissa.
__device__ __forceinline__ float to_tf32(float x) {
    unsigned y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return __uint_as_float(y);
}

// Two in one unit.
__device__ __forceinline__ unsigned two_bf16(float low, float high) {
    unsigned y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
#endif

constexpr bool HALVES = sizeof(REAL) == 2;

__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    if (HALVES) mma_bf16(c, a, b0, b1); else mma_tf32(c, a, b0, b1);
}

template <int R>
struct Tile {
    static constexpr int M = R / 2, ROWS = 4 * 16 * M;  // a warp has M times 16 rows

    static __device__ int row(int i) { return (threadIdx.x / 32 * M + i / 2) * 16 + threadIdx.x % 32 / 4 + i % 2 * 8; }
    static __device__ int col(int j) { return j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2; }
    static __device__ int lowest() { return threadIdx.x / 32 * 16 * M; }  // row of this warp
    static __device__ int highest() { return lowest() + 16 * M - 1; }

    // s = a bᵀ   a (ROWS, HEAD)  b (COLS, HEAD)  in shared memory
    static __device__ void scores(float (&s)[R][CT], const REAL *a, const REAL *b) {
        const int lane = threadIdx.x % 32;
        float c[M][COLS / 8][4] = {};
        a += (threadIdx.x / 32 * M * 16 + lane % 16) * LD + lane / 16 * PACK;
        b += (lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * PACK;
#pragma unroll
        for (int k = 0; k < HEAD; k += K) {
            unsigned x[M][4], y[4];
#pragma unroll
            for (int m = 0; m < M; m++) ldmatrix(x[m], a + m * 16 * LD + k);
#pragma unroll
            for (int n = 0; n < COLS / 8; n += 2) {
                ldmatrix(y, b + n * 8 * LD + k);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma(c[m][n], x[m], y[0], y[1]);
                    mma(c[m][n + 1], x[m], y[2], y[3]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < CT; j++) s[i][j] = c[i / 2][j / 2][i % 2 * 2 + j % 2];
    }

    // sum += w x   x (COLS, HEAD) in shared memory
    //
    // w need not move: what the thread holds of it as a sum is what it would have to hold as operand a. For tf32 that is
    // so with K taken in another order, 2q and 2q + 1 in the places of q and q + 4, which x has to follow.
    static __device__ void accumulate(float (&sum)[R][AT], const float (&w)[R][CT], const REAL *x, float *) {
        const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
#pragma unroll
        for (int k = 0; k < COLS; k += K) {
            unsigned a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int u = 0; u < 4; u++) {
                    const float *v = &w[2 * m + u % 2][0];
                    if constexpr (HALVES)
                        a[m][u] = two_bf16(v[k / 4 + u / 2 * 2], v[k / 4 + u / 2 * 2 + 1]);
                    else
                        a[m][u] = __float_as_uint(to_tf32(v[k / 4 + u / 2]));
                }
#pragma unroll
            for (int n = 0; n < HEAD / 8; n += 2) {
                unsigned y[4];
                if constexpr (HALVES)
                    ldmatrix_transposed(y, x + (k + lane % 16) * LD + n * 8 + lane / 16 * 8);
                else
                    for (int u = 0; u < 4; u++)
                        y[u] = __float_as_uint(to_float(x[(k + 2 * q + u % 2) * LD + (n + u / 2) * 8 + g]));
#pragma unroll
                for (int m = 0; m < M; m++)
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        float(&upper)[AT] = sum[2 * m], (&lower)[AT] = sum[2 * m + 1];
                        const int j = (n + h) * 2;
                        float c[4] = {upper[j], upper[j + 1], lower[j], lower[j + 1]};
                        mma(c, a[m], y[2 * h], y[2 * h + 1]);
                        upper[j] = c[0], upper[j + 1] = c[1], lower[j] = c[2], lower[j + 1] = c[3];
                    }
            }
        }
    }
};
