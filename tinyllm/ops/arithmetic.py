"""One number in, one number out, for every element; two arrays are broadcast against each other."""

from ..autograd import op
from ..backend import array_module


def unbroadcast(dy, shape):
    """The sum of dy over every axis along which an array of `shape` was repeated to get dy's shape.

    A number that was used n times has n paths to the loss, and its gradient is the sum over them.
    """
    if dy.shape == shape:
        return dy
    new = dy.ndim - len(shape)
    repeated = tuple(range(new)) + tuple(new + i for i, n in enumerate(shape) if n == 1)
    return dy.sum(axis=repeated).reshape(shape)


def add_forward(a, b):
    """y = a + b

    a (...)  b (...)  ->  y (...)
    """
    y = a + b
    return y, (a.shape, b.shape)


def add_backward(dy, a_shape, b_shape):
    """da = dy   db = dy: a sum passes its gradient on unchanged, to both."""
    da = unbroadcast(dy, a_shape)
    db = unbroadcast(dy, b_shape)
    return da, db


add = op(add_forward, add_backward)


def subtract_forward(a, b):
    """y = a − b

    a (...)  b (...)  ->  y (...)
    """
    y = a - b
    return y, (a.shape, b.shape)


def subtract_backward(dy, a_shape, b_shape):
    """da = dy   db = −dy"""
    da = unbroadcast(dy, a_shape)
    db = unbroadcast(-dy, b_shape)
    return da, db


subtract = op(subtract_forward, subtract_backward)


def multiply_forward(a, b):
    """y = a · b

    a (...)  b (...)  ->  y (...)
    """
    y = a * b
    return y, (a, b)


def multiply_backward(dy, a, b):
    """da = dy · b   db = dy · a: each factor is scaled by the other one."""
    da = unbroadcast(dy * b, a.shape)
    db = unbroadcast(dy * a, b.shape)
    return da, db


multiply = op(multiply_forward, multiply_backward)


def divide_forward(a, b):
    """y = a / b

    a (...)  b (...)  ->  y (...)
    """
    y = a / b
    return y, (y, a.shape, b)


def divide_backward(dy, y, a_shape, b):
    """da = dy / b   db = −dy · y / b, since d(a/b)/db = −a/b² = −y/b"""
    da = unbroadcast(dy / b, a_shape)
    db = unbroadcast(-dy * y / b, b.shape)
    return da, db


divide = op(divide_forward, divide_backward)


def power_forward(a, b):
    """y = aᵇ

    a (...)  b (...)  ->  y (...)
    """
    y = a**b
    return y, (a, b, y)


def power_backward(dy, a, b, y, needs=(True, True)):
    """da = dy · b · aᵇ⁻¹   db = dy · aᵇ · log a

    At b = 0, y is 1 whatever a is, so da = 0 there, also where a⁻¹ is infinite. At a = 0, db is 0 for b ≥ 0.
    """
    xp = array_module(a)
    da = db = None
    if needs[0]:
        da = unbroadcast(dy * b * a ** xp.where(b == 0, 0, b - 1), a.shape)
    if needs[1]:
        log_a = xp.log(xp.where((a == 0) & (b >= 0), 1, a))
        db = unbroadcast(dy * y * log_a, b.shape)
    return da, db


power = op(power_forward, power_backward)


def maximum_forward(a, b):
    """y = max(a, b)

    a (...)  b (...)  ->  y (...)
    """
    y = array_module(a).maximum(a, b)
    return y, (a, b)


def maximum_backward(dy, a, b):
    """The larger one gets dy, the smaller one nothing; a tie is split in half."""
    half = dy * (a == b) / 2
    da = unbroadcast(dy * (a > b) + half, a.shape)
    db = unbroadcast(dy * (a < b) + half, b.shape)
    return da, db


maximum = op(maximum_forward, maximum_backward)


def where_forward(condition, a, b):
    """y = a where the condition holds, b elsewhere

    condition (...) bool  a (...)  b (...)  ->  y (...)
    """
    y = array_module(a).where(condition, a, b)
    return y, (condition, a.shape, b.shape)


def where_backward(dy, condition, a_shape, b_shape):
    """Each element's gradient goes to the one it was taken from."""
    xp = array_module(dy)
    da = unbroadcast(xp.where(condition, dy, 0), a_shape)
    db = unbroadcast(xp.where(condition, 0, dy), b_shape)
    return None, da, db


where = op(where_forward, where_backward, discrete=("condition",))


def negative_forward(x):
    """y = −x

    x (...)  ->  y (...)
    """
    y = -x
    return y, ()


def negative_backward(dy):
    """dx = −dy"""
    dx = -dy
    return dx


negative = op(negative_forward, negative_backward)


def exp_forward(x):
    """y = eˣ

    x (...)  ->  y (...)
    """
    y = array_module(x).exp(x)
    return y, (y,)


def exp_backward(dy, y):
    """dx = dy · y: eˣ is its own derivative."""
    dx = dy * y
    return dx


exp = op(exp_forward, exp_backward)


def log_forward(x):
    """y = log x, the natural logarithm

    x (...)  ->  y (...)
    """
    y = array_module(x).log(x)
    return y, (x,)


def log_backward(dy, x):
    """dx = dy / x"""
    dx = dy / x
    return dx


log = op(log_forward, log_backward)


def sqrt_forward(x):
    """y = √x

    x (...)  ->  y (...)
    """
    y = array_module(x).sqrt(x)
    return y, (y,)


def sqrt_backward(dy, y):
    """dx = dy / 2y"""
    dx = dy / (2 * y)
    return dx


sqrt = op(sqrt_forward, sqrt_backward)


def abs_forward(x):
    """y = |x|

    x (...)  ->  y (...)
    """
    y = array_module(x).abs(x)
    return y, (x,)


def abs_backward(dy, x):
    """dx = dy · sign x; at the kink x = 0 it is 0, as torch has it."""
    dx = dy * array_module(x).sign(x)
    return dx


abs = op(abs_forward, abs_backward)


def clip_forward(x, *, min=None, max=None):
    """y = x, but at least min and at most max; None is no bound

    x (...)  ->  y (...)
    """
    y = array_module(x).clip(x, min, max)
    inside = y == x
    return y, (inside,)


def clip_backward(dy, inside):
    """dx = dy where x was within the bounds, 0 where it was cut off: there y no longer moves with x."""
    dx = dy * inside
    return dx


clip = op(clip_forward, clip_backward)
