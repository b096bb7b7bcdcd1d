"""The book: every op is a forward, its backward right below it, and one line that joins them.

The contract of an op:
1. Arrays are positional, options keyword-only. One gradient per positional array; None for integers and booleans.
2. `saved`, the second thing a forward returns, is a tuple in the order of the backward's parameters after `dy`.
3. Pure: no state, no globals, never writes to an array it did not make. One forward, with and without gradients.
4. dtype out = dtype in. Constants are Python floats (`math.sqrt`, not `np.sqrt`); `x * x * x`, not `x**3`.
5. It knows nothing of Tensor, tape, backend or threads: `xp = array_module(x)` where it needs a function.
6. Where skipping a gradient pays, the backward takes `needs`: for each array, whether somebody wants its gradient.

In a backward, dy is dL/dy, the gradient of the final loss by this op's output; dx is what it makes of it, dL/dx.
"""

from .activation import relu, sigmoid, tanh
from .arithmetic import abs, add, clip, divide, exp, log, maximum, multiply, negative, power, sqrt, subtract, where
from .attention import causal_attention
from .cross_entropy import cross_entropy
from .dropout import dropout
from .embedding import embedding
from .gelu import gelu, gelu_erf, gelu_tanh
from .layer_norm import layer_norm
from .linear import linear
from .linear_cross_entropy import linear_cross_entropy
from .losses import binary_cross_entropy, binary_cross_entropy_with_logits, mse_loss
from .matmul import matmul
from .reduction import max, mean, sum, var
from .shape import broadcast_to, cat, getitem, permute, reshape, split, squeeze, stack, transpose, unsqueeze
from .softmax import log_softmax, softmax

__all__ = [
    "abs",
    "add",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "cat",
    "causal_attention",
    "clip",
    "cross_entropy",
    "divide",
    "dropout",
    "embedding",
    "exp",
    "gelu",
    "gelu_erf",
    "gelu_tanh",
    "getitem",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mse_loss",
    "multiply",
    "negative",
    "permute",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "unsqueeze",
    "var",
    "where",
]
