"""Gradient clipping (Pascanu, Mikolov & Bengio 2013): a single bad batch must not throw the model off its path."""

from ..backend import array_module
from ..observe import MODE
from ..tensor import Tensor, as_array


def clip(grads, max_norm):
    """norm = √Σ g² over all arrays together   grads ← grads · min(1, max_norm / (norm + 1e-6)), the direction stays

    grads: a list of arrays  ->  grads, norm (), scale ()
    """
    xp = array_module(grads[0])
    norm = xp.sqrt(sum((g * g).sum() for g in grads))
    scale = xp.minimum(1.0, max_norm / (norm + 1e-6))
    return [g * scale.astype(g.dtype) for g in grads], norm, scale


def clip_grad_norm(parameters, max_norm):
    """Scale the `.grad` of all parameters so that together they are at most max_norm long; gives their old length."""
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    parameters = [p for p in parameters if p.grad is not None]
    if not parameters:
        raise ValueError("clip_grad_norm: no parameter has a gradient; call backward() first")
    grads, norm, scale = clip([p.grad for p in parameters], max_norm)
    for p, grad in zip(parameters, grads):
        p.grad = as_array(grad)
    for observer in MODE.get().observers:
        observer.gradients_clipped(norm, max_norm, scale)
    return norm
