"""bfloat16 where an op has no kernel for it: it computes in float32, and what comes out is rounded."""


def rounded_pair(forward, backward):
    """The pair of an op, for arrays of bfloat16. A single number stays float32: a loss is one."""

    def rounded_forward(*arrays, **options):
        y, saved = forward(*map(wide, arrays), **options)
        return narrow(y) if y.ndim else y, saved

    def rounded_backward(dy, *saved, **asked):
        grads = backward(wide(dy), *saved, **asked)
        return tuple(map(narrow, grads)) if isinstance(grads, tuple) else narrow(grads)

    return rounded_forward, rounded_backward


def wide(x):
    """x, in float32 where it is bfloat16."""
    return x.astype("float32") if x is not None and x.dtype.name == "bfloat16" else x


def narrow(x):
    """x, in bfloat16 where it is float32."""
    return x.astype("bfloat16") if x is not None and x.dtype.name == "float32" else x
