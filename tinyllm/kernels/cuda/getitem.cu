// getitem of rows:  y = x[a:b]    dx[a:b] = dy
//
// Forward y is a view, and nothing is launched. Backward, dx are the n numbers of those rows in float32: where the
// gradient of a parameter adds up. add: whether something is in it already.

extern "C" __global__ void getitem_backward(float* dx, const REAL* dy, long long n, int add, int packed) {
    each(n, packed, [&](auto N, long long i) {
        float d[N], before[N];
        load(d, dy + i);
        if (add) {
            load(before, dx + i);
            for (int j = 0; j < N; j++) d[j] += before[j];
        }
        store(dx + i, d);
    });
}
