// One more token in each of B rows: its vector, its attention to the keys that are kept, the likeliest token after it.
// Where it stands is read from the GPU, so that the same launches do for every token.

constexpr int THREADS = 128, MOST = 8;  // of a block of attention; numbers of a head that a thread holds at most

// x[b] = wte[tokens[b]] + wpe[position]; a block a row
extern "C" __global__ void decode_embed(REAL* x, const long long* tokens, const long long* position, const REAL* wte,
                                        const REAL* wpe, int C) {
    const REAL *token = wte + tokens[blockIdx.x] * C, *place = wpe + *position * C;
    for (int c = threadIdx.x; c < C; c += blockDim.x)
        x[(long long)blockIdx.x * C + c] = from_float<REAL>(to_float(token[c]) + to_float(place[c]));
}

// Attention of one query a row (ops/attention.py): S_j = q k_j / √D   P = softmax(S over j ≤ position)   y = Σ P_j v_j
//
// qkv (B, 3, H, D)  keys, values (B, H, length, D)  y (B, H, D). The keys of one head are cut into gridDim.x parts, a
// block each; in a block, groups of G threads take every key of the part in turn, a thread ITEMS · N numbers of it.
// Each group goes along with the largest S so far, Σ 2^(S − largest) and the sum of values; groups are then joined in
// shared memory, and blocks through `parts` (B · H, gridDim.x, D + 2), by who comes last. The key and the value of the
// token itself come from qkv, and are kept.

struct Sums {
    float largest, total;
    __device__ float joined(float other) {  // the factor of what was summed up so far; `other` is the largest there
        float before = largest;
        largest = fmaxf(largest, other);
        float factor = before == -INFINITY ? 0 : exp2f(before - largest);
        total *= factor;
        return factor;
    }
    __device__ float weight(float of) { return of == -INFINITY ? 0 : exp2f(of - largest); }
};

template <int N, int ITEMS>
__device__ void attend(REAL* y, REAL* keys, REAL* values, const REAL* qkv, long long position, float* parts,
                       int* counters, int H, int length, int D, int G, float scale) {
    __shared__ float heads[THREADS * MOST];  // (groups, D)
    __shared__ Sums sums_of[THREADS];
    int head = blockIdx.y, group = threadIdx.x / G, groups = THREADS / G, own = threadIdx.x % G * N, C = H * D;
    const REAL* row = qkv + (long long)(head / H) * 3 * C + head % H * D;
    keys += (long long)head * length * D, values += (long long)head * length * D;
    float q[ITEMS][N] = {}, k[ITEMS][N], v[ITEMS][N], sum[ITEMS][N] = {};
    for (int i = 0; i < ITEMS; i++)
        if (own + i * G * N < D) load(q[i], row + own + i * G * N);
    int count = (int)position + 1, share = (count + gridDim.x - 1) / gridDim.x, first = blockIdx.x * share;
    int last = min(count, first + share);
    Sums sums = {-INFINITY, 0};
    for (int base = first; base < last; base += groups) {  // the same for all threads of a warp, which sum up together
        int j = base + group;
        bool there = j < last, fresh = j == position;
        float S = 0;
        for (int i = 0; i < ITEMS; i++) {
            int c = own + i * G * N;
            if (!there || c >= D) continue;
            load(k[i], fresh ? row + C + c : keys + (long long)j * D + c);
            load(v[i], fresh ? row + 2 * C + c : values + (long long)j * D + c);
            for (int n = 0; n < N; n++) S += q[i][n] * k[i][n];
        }
        for (int step = G / 2; step; step /= 2) S += __shfl_xor_sync(ALL, S, step);
        if (!there) continue;
        float factor = sums.joined(S *= scale), weight = sums.weight(S);
        sums.total += weight;
        for (int i = 0; i < ITEMS; i++) {
            int c = own + i * G * N;
            if (c >= D) continue;
            for (int n = 0; n < N; n++) sum[i][n] = sum[i][n] * factor + weight * v[i][n];
            if (fresh) store(keys + (long long)j * D + c, k[i]), store(values + (long long)j * D + c, v[i]);
        }
    }
    for (int i = 0; i < ITEMS; i++)
        for (int n = 0; n < N; n++)
            if (own + i * G * N < D) heads[group * D + own + i * G * N + n] = sum[i][n];
    if (own == 0) sums_of[group] = sums;
    __syncthreads();
    float* part = parts + ((long long)head * gridDim.x + blockIdx.x) * (D + 2);
    Sums all = {-INFINITY, 0};
    for (int g = 0; g < groups; g++) all.joined(sums_of[g].largest);
    for (int g = 0; g < groups; g++) all.total += sums_of[g].total * all.weight(sums_of[g].largest);
    for (int c = threadIdx.x; c < D; c += THREADS) {
        float value = 0;
        for (int g = 0; g < groups; g++) value += heads[g * D + c] * all.weight(sums_of[g].largest);
        part[2 + c] = value;
    }
    if (threadIdx.x == 0) part[0] = all.largest, part[1] = all.total;
    if (!last_of(gridDim.x, counters + head)) return;
    part = parts + (long long)head * gridDim.x * (D + 2);
    all = {-INFINITY, 0};
    for (int p = 0; p < gridDim.x; p++) all.joined(__ldcg(part + p * (D + 2)));
    for (int p = 0; p < gridDim.x; p++)
        all.total += __ldcg(part + p * (D + 2) + 1) * all.weight(__ldcg(part + p * (D + 2)));
    for (int c = threadIdx.x; c < D; c += THREADS) {
        float value = 0;
        for (int p = 0; p < gridDim.x; p++)
            value += __ldcg(part + p * (D + 2) + 2 + c) * all.weight(__ldcg(part + p * (D + 2)));
        y[(long long)head * D + c] = from_float<REAL>(value / all.total);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
decode_attention(REAL* y, REAL* keys, REAL* values, const REAL* qkv, const long long* position, float* parts,
                 int* counters, int H, int length, int D, int G, int packed, float scale) {
    if (packed) attend<PACK, 1>(y, keys, values, qkv, *position, parts, counters, H, length, D, G, scale);
    else attend<1, MOST>(y, keys, values, qkv, *position, parts, counters, H, length, D, G, scale);
}

// tokens[b] = the first of the largest of logits[b], −1 where one of them is not finite; and position goes on by 1.
// logits (B, V); at most WARP blocks a row, joined through values and places (B, WARP) by who comes last.

struct Best {
    float value;
    int place;  // −1: not finite
    __device__ void join(float other, int there) {
        if (place < 0) return;
        if (there < 0 || other > value || (other == value && there < place)) value = other, place = there;
    }
    __device__ void of_warp() {
        for (int step = WARP / 2; step; step /= 2) {
            float other = __shfl_xor_sync(ALL, value, step);
            int there = __shfl_xor_sync(ALL, place, step);
            join(other, there);
        }
    }
};

extern "C" __global__ void decode_pick(long long* tokens, long long* position, float* values, int* places,
                                       int* counters, const REAL* logits, int V) {
    __shared__ float value_of[WARP];
    __shared__ int place_of[WARP];
    int row = blockIdx.y, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    logits += (long long)row * V;
    Best best = {-INFINITY, V};
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < V; i += gridDim.x * blockDim.x) {
        float x = to_float(logits[i]);
        best.join(x, x - x == 0 ? i : -1);
    }
    best.of_warp();
    if (lane == 0) value_of[warp] = best.value, place_of[warp] = best.place;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < blockDim.x / WARP; w++) best.join(value_of[w], place_of[w]);
        values[row * WARP + blockIdx.x] = best.value, places[row * WARP + blockIdx.x] = best.place;
    }
    if (!last_of(gridDim.x, counters + row) || warp) return;
    best = {-INFINITY, V};
    if (lane < gridDim.x) best = {__ldcg(values + row * WARP + lane), __ldcg(places + row * WARP + lane)};
    best.of_warp();
    if (lane == 0) tokens[row] = best.place;
    if (lane == 0 && row == 0) *position += 1;
}
