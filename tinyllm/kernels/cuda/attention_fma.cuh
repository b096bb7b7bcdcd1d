// The two products of attention in float32, exact to rounding: each thread multiplies and adds R × CT numbers of a tile.
//
// 128 threads are 8 × 16. A thread's rows are 8 apart and its columns 16: what the threads of a warp read of shared
// memory at a time then lies in different banks (rows are LD = HEAD + 4 floats apart), or is the same.

constexpr int CT = COLS / 16, AT = HEAD / 16;  // columns of a thread: of a tile of scores, and of a sum
constexpr int GROUP = 16;  // threads, neighbours, that share their rows
constexpr int LW = COLS + 16;  // of the weights in shared memory: two rows lie half of the banks apart

template <int R>
struct Tile {
    static constexpr int ROWS = 8 * R;

    static __device__ int row(int i) { return threadIdx.x / 16 + 8 * i; }
    static __device__ int col(int j) { return threadIdx.x % 16 + 16 * j; }
    static __device__ int lowest() { return threadIdx.x / 32 * 2; }  // row of this warp
    static __device__ int highest() { return lowest() + 1 + 8 * (R - 1); }

    // s = a bᵀ   a (ROWS, HEAD)  b (COLS, HEAD)  in shared memory
    static __device__ void scores(float (&s)[R][CT], const float *a, const float *b) {
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < CT; j++) s[i][j] = 0;
#pragma unroll 2
        for (int k = 0; k < HEAD; k += 4) {
            float x[R][4], y[CT][4];
#pragma unroll
            for (int i = 0; i < R; i++) load(x[i], a + row(i) * LD + k);
#pragma unroll
            for (int j = 0; j < CT; j++) load(y[j], b + col(j) * LD + k);
#pragma unroll
            for (int c = 0; c < 4; c++)
#pragma unroll
                for (int i = 0; i < R; i++)
#pragma unroll
                    for (int j = 0; j < CT; j++) s[i][j] += x[i][c] * y[j][c];
        }
    }

    // sum += w x   x (COLS, HEAD) in shared memory; w goes through `scratch`, of which a row is 16 threads' own
    static __device__ void accumulate(float (&sum)[R][AT], const float (&w)[R][CT], const float *x, float *scratch) {
        __syncwarp(ALL);  // what was there before has been read
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < CT; j++) scratch[row(i) * LW + col(j)] = w[i][j];
        __syncwarp(ALL);
#pragma unroll 2
        for (int k = 0; k < COLS; k += 4) {
            float y[R][4];
#pragma unroll
            for (int i = 0; i < R; i++) load(y[i], scratch + row(i) * LW + k);
#pragma unroll
            for (int c = 0; c < 4; c++) {
                float z[AT];
#pragma unroll
                for (int j = 0; j < AT; j++) z[j] = x[(k + c) * LD + col(j)];
#pragma unroll
                for (int i = 0; i < R; i++)
#pragma unroll
                    for (int j = 0; j < AT; j++) sum[i][j] += y[i][c] * z[j];
            }
        }
    }
};
