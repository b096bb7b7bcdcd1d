// dropout:  y = x · keep · scale   scale = 1/(1 − p);   backward the same of dy
//
// Element i stays where mix(key + (first · row + i) · GOLDEN) ≥ threshold: the bits of tinyllm/random.py, computed here
// in both directions, so no mask is in memory. key and first are read from `counter` when the kernel runs: a captured
// step has the masks of the numbers that stand there. Or keep is an array of bools, and counter null.
//
// Arrays of any shape, as n numbers one after the other, row of them to one index of axis 0; a thread has PACK of them.

extern "C" __global__ void dropout(REAL* y, const REAL* x, long long n, const unsigned long long* counter,
                                   const unsigned char* keep, long long row, unsigned long long threshold,
                                   float scale, int packed) {
    unsigned long long start = counter ? mask_start(counter, row) : 0;
    each(n, packed, [&](auto N, long long i) {
        float v[N];
        load(v, x + i);
        for (int j = 0; j < N; j++)
            v[j] = (counter ? random_bits(start, i + j) >= threshold : keep[i + j]) ? v[j] * scale : 0;
        store(y + i, v);
    });
}
