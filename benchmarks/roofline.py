"""What an op has to do at the least: matrix products, and numbers to move to and from memory.

Williams, Waterman & Patterson 2009, "Roofline": nothing is faster than its FLOPs at the highest rate of FLOPs, nor than
its bytes at the highest rate of bytes. Both rates are measured in numpy, beside the ops.
"""

import statistics
import time
from math import prod

FLOAT, INTEGER = 4, 8  # bytes of a number
SIZE = 1 << 24  # numbers of an array that no cache holds


def flops(op, shapes):
    """Of the matrix products of a forward, 2 for a product and a sum; a backward has two products for each."""
    if op == "linear":
        return 2 * prod(shapes[0]) * shapes[1][1]
    if op == "causal_attention":
        B, T, C3 = shapes[0]
        return 2 * B * T * (T + 1) * C3 // 3  # two products, each of T (T + 1) / 2 pairs: the future is not looked at
    if op == "linear_cross_entropy":
        return 2 * prod(shapes[0]) * shapes[1][0]
    return 0


def moved(op, arrays, y_shape):
    """(forward, backward): bytes that are read and written if every array goes once between memory and processor.

    Forward: the arrays are read, y is written. Backward: dy and the arrays are read, their gradients written.
    """
    sizes = [prod(shape) * FLOAT for shape, kind in filter(None, arrays) if kind == "f"]
    ids = sum(INTEGER * prod(shape) for shape, kind in filter(None, arrays) if kind == "i")
    y = prod(y_shape) * FLOAT
    if op == "embedding":
        return 2 * y + ids, y + ids + sum(sizes)  # of the weight, the rows that are asked for; all of its gradient
    if op == "add":
        return sum(sizes) + y, 0  # dy itself is the gradient of both
    return sum(sizes) + ids + y, y + ids + 2 * sum(sizes)


def seconds(flop, nbytes, rates):
    """The roof: rates are {"gemm": FLOP/s, "bandwidth": bytes/s}."""
    return max(flop / rates["gemm"], nbytes / rates["bandwidth"])


def bandwidth(threads):
    """Bytes/s of c = a + b in numpy, arrays larger than any cache, by that many threads."""
    import numpy as np

    from tinyllm.kernels.cpu.share import op_threads, share

    a, b, c = np.ones((3, SIZE), np.float32)
    times = []
    with op_threads(threads):
        for _ in range(5):
            start = time.perf_counter()
            share(lambda i, j: np.add(a[i:j], b[i:j], out=c[i:j]), SIZE)
            times.append(time.perf_counter() - start)
    return 3 * a.nbytes / statistics.median(times)
