"""Stochastic gradient descent: go downhill."""

from ..backend import array_module
from .optimizer import Optimizer


def sgd(param, grad, velocity, *, lr, momentum, weight_decay):
    """g ← grad + λ · param   velocity ← μ · velocity + g   param ← param − lr · velocity

    param (...)  grad (...)  velocity (...)  ->  param (...)  velocity (...)
    """
    g = grad + weight_decay * param
    velocity = momentum * velocity + g
    param = param - lr * velocity
    return param, velocity


class SGD(Optimizer):
    """momentum μ: 0 is plain gradient descent; weight_decay λ pulls every parameter to 0. The meaning is torch's."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def initial_state(self, param):
        return {"velocity": array_module(param).zeros_like(param)}

    def update(self, param, grad, state, **options):
        param, state["velocity"] = sgd(param, grad, state["velocity"], **options)
        return param
