"""Matrix products: what cublasLt is to be called with, planned from shapes and strides alone, and the call.

Our arrays are row-major, cublasLt's column-major: the same memory, read the other way, is the transpose. So
D = A @ B is asked for as Dᵀ = Bᵀ @ Aᵀ: cublasLt's A is our B, its rows are our columns, and nothing is copied. A view
that is transposed already is one of its flags.

    D (M, N) = alpha · A (M, K) @ B (K, N) + beta · D   ->   m = N   n = M   k = K
"""

from typing import NamedTuple

from ... import precision
from ...backend import array_module
from .bias import add_bias, sum_rows
from .cublaslt import matmul

FLOAT, BFLOAT = 0, 14  # cudaDataType: CUDA_R_32F, CUDA_R_16BF
TYPES = {"float32": FLOAT, "bfloat16": BFLOAT}
COMPUTE = {"fp32": 68, "tf32": 77, "bf16": 68}  # cublasComputeType: CUBLAS_COMPUTE_32F, and its FAST_TF32
NORMAL, TRANSPOSED = 0, 1  # cublasOperation
DEFAULT, BIAS, BIAS_GRADIENT = 1, 4, 256  # cublasLtEpilogue: BGRADA, that of cublasLt's A, the upstream gradient


class Operand(NamedTuple):
    """A matrix as cublasLt sees it: column-major, `batch` of them `stride` apart (in numbers, not bytes)."""

    rows: int
    columns: int
    leading: int  # from one column to the next
    stride: int
    flag: int = NORMAL


class Plan(NamedTuple):
    """All that decides which kernel cublasLt runs, but for the alignment of the addresses."""

    a: Operand
    b: Operand
    d: Operand
    batch: int
    type: int  # of a and b
    out_type: int
    compute: int
    epilogue: int
    device_alpha: bool  # alpha and beta are read from the GPU

    @property
    def sizes(self):
        """m, n, k"""
        return self.d.rows, self.d.columns, self.a.columns if self.a.flag == NORMAL else self.a.rows


def plan(a, b, out, *, epilogue=DEFAULT, device_alpha=False, policy="fp32"):
    """How cublasLt is to compute out = a @ b, for arrays (or what has their shape, strides and dtype).

    a (..., M, K)  b (..., K, N)  out (..., M, N): all 2-D, or all 3-D with as many matrices (or one, repeated).
    """
    if not {a.ndim, b.ndim, out.ndim} <= {2, 3}:
        raise ValueError(f"products: {a.shape} @ {b.shape} into {out.shape} are no matrices, nor batches of them (3-D)")
    batch = out.shape[0] if out.ndim == 3 else 1
    (M, K), (inner, N) = a.shape[-2:], b.shape[-2:]
    if inner != K or out.shape[-2:] != (M, N) or max(a.ndim, b.ndim) > out.ndim:
        raise ValueError(f"products: {a.shape} @ {b.shape} does not make {out.shape}")
    if any(x.ndim == 3 and x.shape[0] not in (1, batch) for x in (a, b)):
        raise ValueError(f"products: {a.shape} @ {b.shape} does not make {out.shape}: the batches differ")
    if 0 in (M, N, K, batch):
        raise ValueError(f"products: {a.shape} @ {b.shape} is empty")
    A, B, D = (_operand(x, name) for name, x in (("a", a), ("b", b), ("out", out)))
    if D.flag == TRANSPOSED:
        raise ValueError(f"products: out {out.shape} must be row-major, its strides are {out.strides} bytes")
    if batch > 1 and D.stride < (M - 1) * D.leading + N:
        raise ValueError(f"products: the matrices of out {out.shape} overlap, its strides are {out.strides} bytes")
    kinds = a.dtype.name, b.dtype.name, out.dtype.name
    if kinds not in DTYPES:
        raise TypeError(f"products: {kinds[0]} @ {kinds[1]} into {kinds[2]}; there are "
                        f"{', '.join('{} @ {} into {}'.format(*kinds) for kinds in DTYPES)}")
    compute = COMPUTE[policy if kinds[0] == "float32" else "bf16"]
    return Plan(B, A, D, batch, TYPES[kinds[0]], TYPES[kinds[2]], compute, epilogue, device_alpha)


DTYPES = (
    ("float32", "float32", "float32"),
    ("bfloat16", "bfloat16", "bfloat16"),
    ("bfloat16", "bfloat16", "float32"),
)  # of a, b and out


def _operand(x, name):
    """Array x, row-major (R, C), as the column-major matrix (C, R) that it is: an operand that stands for xᵀ."""
    R, C = x.shape[-2:]
    down, along = (stride // x.dtype.itemsize for stride in x.strides[-2:])
    batch = x.strides[0] // x.dtype.itemsize if x.ndim == 3 and x.shape[0] > 1 else 0
    if batch >= 0:
        if (along == 1 or C == 1) and (down >= C or R == 1):
            return Operand(C, R, down if R > 1 else C, batch)
        if (down == 1 or R == 1) and (along >= R or C == 1):
            return Operand(R, C, along if C > 1 else R, batch, TRANSPOSED)
    raise ValueError(f"products: {name} {x.shape} has strides of {x.strides} bytes: neither its rows nor its columns "
                     "lie one after the other; make it C-contiguous")


def product(a, b, out=None, *, add=False, bias=None, sums=None, alpha=None):
    """alpha · a @ b, written to out or added to what it holds; without out, a new array of a's dtype.

    bias is added to every row of it. sums gets Σ over the rows of b: where b is the upstream gradient of y = x @ W +
    bias, and a is xᵀ, that is the gradient of the bias. Both are of out's dtype. alpha is 1, or a 0-d float32 array
    of the GPU, so that no one waits for its value.

    a (..., M, K)  b (..., K, N)  bias (N,)  sums (N,)  alpha ()  ->  out (..., M, N)
    """
    xp = array_module(a)
    if out is None:
        batch = a.shape[:-2] if a.ndim > b.ndim else b.shape[:-2]
        out = xp.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    vector, epilogue = (bias, BIAS) if bias is not None else (sums, BIAS_GRADIENT if sums is not None else DEFAULT)
    if vector is not None and (vector.shape, vector.dtype) != (out.shape[-1:], out.dtype):
        raise ValueError(f"products: a bias of {vector.shape} {vector.dtype} for {out.shape} {out.dtype}")
    if 0 in (*a.shape, *b.shape):  # cublasLt knows no empty matrices
        return _of_nothing(out, add, bias, sums)
    call = plan(a, b, out, epilogue=epilogue, device_alpha=alpha is not None, policy=precision.current())
    if not matmul(call, a, b, out, add=add, vector=vector, alpha=alpha):  # without the vector, which is for us then
        matmul(call._replace(epilogue=DEFAULT), a, b, out, add=add, alpha=alpha)
        if bias is not None:
            add_bias(out, bias)
        else:
            sum_rows(b, sums)
    return out


def _of_nothing(out, add, bias, sums):
    """A product of no rows, or a sum of no numbers."""
    if not add:
        out[...] = 0
    if bias is not None:
        out += bias
    if sums is not None:
        sums[...] = 0
    return out


def gradient(place, a, b, shape, **options):
    """a @ b as the gradient of an input of that shape: added up at `place` where cublasLt can write there, else new."""
    if not takes(place, a, b):
        return product(a, b, **options).reshape(shape)
    product(a, b, place.array.reshape(a.shape[0], b.shape[1]), add=place.started, **options)
    return place


def takes(place, a, b):
    """Whether cublasLt can write a @ b to a Place."""
    if place is None or not place.array.flags.c_contiguous:
        return False
    return (a.dtype.name, b.dtype.name, place.array.dtype.name) in DTYPES
