// AdamW and the length of the gradient, of all parameters at once.
//
//     norm = sqrt(sum of g²)    scale = min(1, max_norm / (norm + 1e-6))    g ← g · scale
//     m ← β₁ m + (1 − β₁) g     v ← β₂ v + (1 − β₂) g²
//     p ← p · (1 − lr λ) − lr / c₁ · m / (√v / √c₂ + ε)    with c₁ = 1 − β₁ᵗ and c₂ = 1 − β₂ᵗ
//
// p, g, m, v are vectors of floats in which the parameters lie one after the other, each at a multiple of 16 bytes;
// what is between them is 0, and stays 0. `shadow` is p rounded to REAL, where the model is not of floats, else null.
// A Stretch says how the parameters from start to stop are moved. The table of them is read from the GPU's memory, where
// the host puts it before each step: so a step that was captured is replayed with other rates.

struct Stretch {
    long long start, stop;        // of p, g, m, v: multiples of 4
    float decay;                  // 1 − lr λ
    float beta1, rest1;           // β₁, 1 − β₁
    float beta2, rest2;
    float rate;                   // lr / c₁
    float root;                   // √c₂
    float eps;
    float max_norm;               // the same in all of them
    float unused[3];              // 64 bytes
};

constexpr int FLOATS = 4;  // in 16 bytes
template <> struct Bits<bf16, FLOATS> { typedef uint2 type; };

// result: norm, scale. partial: a float for each block. Blocks and their order are fixed, and so is the sum to the bit.
extern "C" __global__ void gradient_norm(const float* g, const unsigned char* table, int count, float* partial,
                                         int* counter, float* result) {
    const Stretch* stretches = reinterpret_cast<const Stretch*>(table);
    long long step = (long long)gridDim.x * blockDim.x * FLOATS;
    long long mine = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * FLOATS;
    float sum = 0;
    for (int s = 0; s < count; s++) {
        for (long long i = stretches[s].start + mine; i < stretches[s].stop; i += step) {
            float x[FLOATS];
            load<FLOATS>(x, g + i);
            sum += (x[0] * x[0] + x[1] * x[1]) + (x[2] * x[2] + x[3] * x[3]);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    if (!last_of(gridDim.x, counter)) return;
    sum = 0;
    for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += __ldcg(partial + i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        float norm = sqrtf(sum);
        float scale = stretches[0].max_norm / (norm + 1e-6f);
        result[0] = norm;
        result[1] = scale >= 1 ? 1 : scale;  // NaN stays NaN
    }
}

// scale: what gradient_norm found, or a 1.
extern "C" __global__ void adamw(float* p, const float* g, float* m, float* v, REAL* shadow,
                                 const unsigned char* table, int count, const float* scale) {
    const Stretch* stretches = reinterpret_cast<const Stretch*>(table);
    long long step = (long long)gridDim.x * blockDim.x * FLOATS;
    long long mine = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * FLOATS;
    float clip = *scale;
    for (int s = 0; s < count; s++) {
        const Stretch now = stretches[s];
        for (long long i = now.start + mine; i < now.stop; i += step) {
            float x[FLOATS], grad[FLOATS], mean[FLOATS], square[FLOATS];
            load<FLOATS>(x, p + i);
            load<FLOATS>(grad, g + i);
            load<FLOATS>(mean, m + i);
            load<FLOATS>(square, v + i);
#pragma unroll
            for (int j = 0; j < FLOATS; j++) {
                float d = grad[j] * clip;
                mean[j] = now.beta1 * mean[j] + now.rest1 * d;
                square[j] = now.beta2 * square[j] + now.rest2 * (d * d);
                x[j] = x[j] * now.decay - now.rate * mean[j] / (sqrtf(square[j]) / now.root + now.eps);
            }
            store<FLOATS>(p + i, x);
            store<FLOATS>(m + i, mean);
            store<FLOATS>(v + i, square);
            if (shadow) store<FLOATS>(shadow + i, x);
        }
    }
}
