"""GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415): x times the probability that a standard normal is below x."""

import math

from ..autograd import op
from ..backend import array_module
from .erf import erf

A = math.sqrt(2 / math.pi)
B = 0.044715


def gelu_tanh_forward(x):
    """y = x s   s = ½ (1 + tanh u)   u = √(2/π) (x + 0.044715 x³), the form GPT-2 was trained with

    x (...)  ->  y (...)
    """
    u = x * (A + A * B * (x * x))
    s = 0.5 + 0.5 * array_module(x).tanh(u)
    y = x * s
    return y, (x, s)


def gelu_tanh_backward(dy, x, s):
    """dx = dy (s + x s′)   s′ = 2 s (1 − s) u′   u′ = √(2/π) (1 + 3 · 0.044715 x²)

    2 s (1 − s) is ½ (1 − tanh² u), written with what the forward kept.
    """
    slope_u = A + 3 * A * B * (x * x)
    slope_s = 2 * s * (1 - s) * slope_u
    dx = dy * (s + x * slope_s)
    return dx


gelu_tanh = op(gelu_tanh_forward, gelu_tanh_backward)


def gelu_erf_forward(x):
    """y = x Φ(x)   Φ(x) = ½ (1 + erf(x/√2)), the exact form

    x (...)  ->  y (...)
    """
    cdf = 0.5 * (1 + erf(x / math.sqrt(2)))
    y = x * cdf
    return y, (x, cdf)


def gelu_erf_backward(dy, x, cdf):
    """dx = dy (Φ(x) + x φ(x))   φ(x) = e^(−x²/2) / √(2π), the slope of Φ"""
    pdf = array_module(x).exp(-0.5 * (x * x)) / math.sqrt(2 * math.pi)
    dx = dy * (cdf + x * pdf)
    return dx


gelu_erf = op(gelu_erf_forward, gelu_erf_backward)


def gelu(x, approximate="none"):
    """GELU in its exact form ("none", by erf) or in GPT-2's ("tanh")."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return gelu_tanh(x) if approximate == "tanh" else gelu_erf(x)
