"""Do the CUDA kernels compute what the plain ops do? On one card, op by op, in each precision."""

import importlib.util

import numpy as np

import tinyllm.kernels  # noqa: F401  (attaches them)
from benchmarks.gpu.numbers import distance, large_cases, row
from tests.op_cases import Case, examples
from tests.op_checks import upstream
from tinyllm import Tensor
from tinyllm.autograd import OPS, gradients
from tinyllm.backend import is_float, to, to_numpy
from tinyllm.kernels.cuda.attention_cudnn import sdpa_for
from tinyllm.observe import plain_ops
from tinyllm.precision import PRECISIONS
from tinyllm.precision import precision as policy

BOUND = {"fp32": 1e-5, "tf32": 5e-3, "bf16": 2e-2}  # TF32 keeps 10 bits of what goes in, bfloat16 7 of all that is kept
DTYPE = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16"}
FLOOR = 0.1  # the numbers that go in are of size 1


def kernels(small):
    """Each kernel beside the plain op in float32 on the same card, forward and backward, in each precision."""
    large = large_cases(small)
    for name in sorted(name for name, op in OPS.items() if "cupy" in op.kernels):
        cases = [*examples(name, 1 if small else 25), *([large[name]] if name in large else [])]
        for precision in PRECISIONS:
            worst = max(
                distance(ours, plain, FLOOR)
                for case in cases
                for ours, plain in zip(*both(name, case, precision), strict=True)
            )
            yield row(f"{name} {precision}", worst, BOUND[precision])


def both(name, case, precision):
    """[y, gradient of each input] of a kernel in a precision, and of the plain op of the same rounded numbers."""
    with policy(precision):
        ours = run(name, case, DTYPE[precision], DTYPE[precision])
    with plain_ops():
        return ours, run(name, case, DTYPE[precision], "float32")


def run(name, case, rounded, dtype):
    """[y, gradient of each input]: floats are rounded to one dtype, and then of another."""

    def moved(x):
        if isinstance(x, tuple):
            return tuple(map(moved, x))
        if not isinstance(x, np.ndarray):
            return x
        return to(x.astype(rounded).astype(dtype) if x.dtype.kind == "f" else x, "cupy")

    inputs = [x if x is None else Tensor(moved(x), x.dtype.kind == "f") for x in case.inputs]
    y = OPS[name](*inputs, **{key: moved(value) for key, value in case.options.items()})
    dy = upstream(np.empty(y.shape)).astype(rounded if y.shape else "float32").astype(y.dtype)
    grads = gradients(y, to(dy, "cupy"))
    found = [y.data, *(grads[x] for x in inputs if x is not None and x in grads)]
    return [to_numpy(x).astype(np.float64) if is_float(x.dtype) else to_numpy(x) for x in found]


def cudnn(small):
    """Attention by cuDNN in bfloat16, where its frontend is installed, beside the plain op."""
    if not importlib.util.find_spec("cudnn"):
        yield {"what": "cuDNN's frontend is not installed: pip install 'tinyllm-numpy[cudnn]'"}
        return
    B, H, T, D = (2, 2, 16, 16) if small else (4, 12, 1024, 64)
    if sdpa_for(B, H, T, D) is None:
        yield {"what": "cuDNN's frontend is installed and cannot: the log says why", "ok": False}
        return
    case = Case([np.random.default_rng(0).standard_normal((B, T, 3 * H * D)), None], None, {"n_head": H})
    worst = max(distance(ours, plain, FLOOR) for ours, plain in zip(*both("causal_attention", case, "bf16")))
    yield row(f"cuDNN's attention bf16, {(B, H, T, D)}", worst, BOUND["bf16"])
