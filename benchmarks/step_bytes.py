"""What a training step of GPT-2 must move and compute on a GPU, kernel by kernel, and how long that takes at least.

    python benchmarks/step_bytes.py [--batch 4 8 16 32] [--precision bf16] [--bandwidth 4.3] [--rate 790]

No GPU is needed, and none is measured: it counts. `must` is every array that a kernel reads or writes, once each way;
`moves` is what the kernel as it stands reads and writes (tests/cuda/test_step_bytes.py holds it against the arrays that
a captured step gives its kernels). Both at --bandwidth (TB/s), the products at --rate (TFLOP/s), are the floor in ms.
The defaults are what one H200 copied, and what its bf16 products of 8192³ reached.
"""

import argparse
from dataclasses import dataclass, field

RATES = {"bf16": 790.0, "tf32": 330.0, "fp32": 50.0}  # TFLOP/s; the last two are estimates


@dataclass(frozen=True)
class Sizes:
    B: int
    T: int = 1024
    C: int = 768
    V: int = 50304
    L: int = 12
    H: int = 12
    real: int = 2  # bytes of an activation: 2 in bf16, 4 in fp32 and tf32

    @property
    def N(self):
        return self.B * self.T

    @property
    def parameters(self):
        C = self.C
        return (self.V + self.T) * C + self.L * (12 * C * C + 13 * C) + 2 * C


@dataclass(frozen=True)
class Kernel:
    name: str
    launches: int
    must: float  # bytes of one launch
    extra: float = 0  # what it moves beside
    flops: float = field(default=0)

    @property
    def moves(self):
        return self.must + self.extra

    def floor(self, bandwidth, rate):
        """Seconds of all its launches: memory and arithmetic overlap, so the longer of the two."""
        return self.launches * max(self.moves / (bandwidth * 1e12), self.flops / (rate * 1e12))


def kernels(s, blocks=132):
    """The kernels of a step, those of one name together. blocks: of layer_norm_backward, one for a multiprocessor."""
    N, C, V, L, r = s.N, s.C, s.V, s.L, s.real
    P, lse = s.parameters, 4 * N * s.H
    causal = 2 * s.B * s.T * s.T * C / 2  # FLOPs of one product of the attention's, where no key lies in the future
    shadow = 2 * P if r == 2 else 0
    found = [
        Kernel("embedding_forward", 1, 8 * N + 2 * N * C * r),
        Kernel("add_forward", 2 * L + 1, 3 * N * C * r),
        Kernel("layer_norm_forward", 2 * L + 1, 2 * N * C * r + 8 * N + 2 * C * r),
        Kernel("gelu_tanh_forward", L, 8 * N * C * r),
        Kernel("gelu_tanh_backward", L, 12 * N * C * r),
        Kernel("attention_forward", L, 4 * N * C * r + lse, flops=2 * causal),
        Kernel("attention_backward_q", L, 6 * N * C * r + 2 * lse, flops=3 * causal),
        Kernel("attention_backward_kv", L, 6 * N * C * r + 2 * lse, flops=4 * causal),
        Kernel("layer_norm_backward", 2 * L + 1, 4 * N * C * r + 8 * N + C * r + 8 * C, extra=2 * blocks * 8 * C),
        Kernel("add_backward", 1, (N + s.T) * C * r),
        Kernel("getitem_backward", 1, s.T * C * (r + 4)),
        Kernel("embedding_backward", 1, N * C * r + 2 * 4 * min(N, V) * C, extra=24 * N),
        Kernel("cross_entropy", 1, 2 * N * V * r + 8 * N),
        Kernel("gradient_norm", 1, 4 * P),
        Kernel("adamw", 1, 28 * P + shadow),
    ]
    layers = [("c_attn", C, 3 * C), ("attn.c_proj", C, C), ("c_fc", C, 4 * C), ("mlp.c_proj", 4 * C, C)]
    for name, K, M in layers:
        found += products(name, L, N, K, M, r)
    return found + products("lm_head", 1, N, C, V, r)


def products(name, launches, N, K, M, r):
    """y = x @ W, dx = dy @ Wᵀ and dW = xᵀ @ dy, whose result is float32."""
    x, y, W, flops = N * K * r, N * M * r, K * M, 2.0 * N * K * M
    return [
        Kernel(f"{name}: y", launches, x + y + W * r, flops=flops),
        Kernel(f"{name}: dx", launches, x + y + W * r, flops=flops),
        Kernel(f"{name}: dW", launches, x + y + W * 4, flops=flops),
    ]


def table(s, bandwidth, rate):
    """Lines: one a kernel, the longest floor first, and the sum."""
    found = sorted(kernels(s), key=lambda k: -k.floor(bandwidth, rate))
    lines = [f"{'kernel':24} {'launches':>8} {'must GB':>9} {'moves GB':>9} {'GFLOP':>9} {'floor ms':>9}"]
    for k in found:
        lines.append(f"{k.name:24} {k.launches:8} {k.launches * k.must / 1e9:9.3f} {k.launches * k.moves / 1e9:9.3f} "
                     f"{k.launches * k.flops / 1e9:9.0f} {1e3 * k.floor(bandwidth, rate):9.3f}")
    total = sum(k.floor(bandwidth, rate) for k in found)
    must, moves = (sum(k.launches * getattr(k, name) for k in found) / 1e9 for name in ("must", "moves"))
    flops, launches = sum(k.launches * k.flops for k in found) / 1e9, sum(k.launches for k in found)
    lines.append(f"{'all':24} {launches:8} {must:9.3f} {moves:9.3f} {flops:9.0f} {1e3 * total:9.3f}"
                 f"   {s.N / total:,.0f} tokens/s at most")  # fmt: skip
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 8, 16, 32], help="sequences of 1024 tokens")
    parser.add_argument("--precision", choices=RATES, default="bf16")
    parser.add_argument("--bandwidth", type=float, default=4.3, help="TB/s")
    parser.add_argument("--rate", type=float, help="TFLOP/s of the products")
    given = parser.parse_args()
    rate = given.rate or RATES[given.precision]
    for B in given.batch:
        print(f"\ngpt2, B={B}, {given.precision}, at {given.bandwidth} TB/s and {rate:g} TFLOP/s")
        print(*table(Sizes(B, real=2 if given.precision == "bf16" else 4), given.bandwidth, rate), sep="\n")


if __name__ == "__main__":
    main()
