// gelu:  y = x s
//
// tanh, the form of GPT-2:  s = ½ (1 + tanh u) = 1/(1 + 2^(−2 u log2 e))   u = √(2/π) (x + 0.044715 x³)
//                           dx = dy (s + x s′)   s′ = 2 s (1 − s) u′   u′ = √(2/π) (1 + 3 · 0.044715 x²)
// erf, the exact one:       s = Φ(x) = ½ (1 + erf(x/√2))   s′ = e^(−x²/2)/√(2π)
//
// Arrays of any shape, as n numbers one after the other; a thread has PACK of them, one 128-bit access of each array.
// x is all that is kept: s from it costs a few instructions, s from memory would cost another read, and room. They have
// to be few: of bfloat16 an H200 reads and writes 10¹² elements a second, in the time of some 27 instructions each.

// 1/(1 + 2^x) by the hardware's own 2^x and 1/x, wrong in the last two places; where 2^x is infinite it is 0.
__device__ inline float sigmoid_of_base_2(float x) {
#ifdef SHIM
    return 1 / (1 + exp2f(x));
#else
    float power, s;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(s) : "f"(1 + power));
    return s;
#endif
}

struct Tanh {
    static __device__ float2 s_and_slope(float x) {
        const float a = 0.7978845608f, b = 0.044715f, c = -2 * 1.4426950409f;
        float s = sigmoid_of_base_2(x * (c * a + c * a * b * x * x));
        return make_float2(s, 2 * s * (1 - s) * (a + 3 * a * b * x * x));
    }
};

struct Erf {
    static __device__ float2 s_and_slope(float x) {
        return make_float2(0.5f + 0.5f * erff(x * 0.7071067812f), 0.3989422804f * __expf(-0.5f * x * x));
    }
};

template <class Form> __device__ void forward(REAL* y, const REAL* x, long long n, bool packed) {
    each(n, packed, [&](auto N, long long i) {
        float v[N];
        load(v, x + i);
        for (int j = 0; j < N; j++) v[j] *= Form::s_and_slope(v[j]).x;
        store(y + i, v);
    });
}

template <class Form> __device__ void backward(REAL* dx, const REAL* dy, const REAL* x, long long n, bool packed) {
    each(n, packed, [&](auto N, long long i) {
        float v[N], d[N];
        load(v, x + i);
        load(d, dy + i);
        for (int j = 0; j < N; j++) {
            float2 s = Form::s_and_slope(v[j]);
            d[j] *= s.x + v[j] * s.y;
        }
        store(dx + i, d);
    });
}

extern "C" __global__ void gelu_tanh_forward(REAL* y, const REAL* x, long long n, int packed) {
    forward<Tanh>(y, x, n, packed);
}

extern "C" __global__ void gelu_tanh_backward(REAL* dx, const REAL* dy, const REAL* x, long long n, int packed) {
    backward<Tanh>(dx, dy, x, n, packed);
}

extern "C" __global__ void gelu_erf_forward(REAL* y, const REAL* x, long long n, int packed) {
    forward<Erf>(y, x, n, packed);
}

extern "C" __global__ void gelu_erf_backward(REAL* dx, const REAL* dy, const REAL* x, long long n, int packed) {
    backward<Erf>(dx, dy, x, n, packed);
}
