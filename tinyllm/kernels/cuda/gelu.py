"""gelu_tanh and gelu_erf: one launch forward, one backward, and x alone is kept (see gelu.cu)."""

from ...backend import array_module
from .compile import contiguous
from .numbers import over_numbers


def gelu_tanh_forward_cuda(x):
    x = contiguous(x)
    return _made("gelu_tanh_forward", x), (x,)


def gelu_tanh_backward_cuda(dy, x):
    return _made("gelu_tanh_backward", contiguous(dy), x)


def gelu_erf_forward_cuda(x):
    x = contiguous(x)
    return _made("gelu_erf_forward", x), (x,)


def gelu_erf_backward_cuda(dy, x):
    return _made("gelu_erf_backward", contiguous(dy), x)


def _made(name, *inputs):
    x = inputs[0]
    result = array_module(x).empty(x.shape, x.dtype)
    over_numbers("gelu", name, x.dtype, x.size, (result, *inputs))
    return result


KERNELS = {
    "gelu_tanh": (gelu_tanh_forward_cuda, gelu_tanh_backward_cuda),
    "gelu_erf": (gelu_erf_forward_cuda, gelu_erf_backward_cuda),
}
