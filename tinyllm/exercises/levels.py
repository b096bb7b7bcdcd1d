"""The exercises from easy to hard, and what may be said about an op without giving its backward away."""

from difflib import get_close_matches

from ..checking import tinyllm_ops

LEVELS = {
    "one number in, one number out": "negative exp log sqrt sigmoid tanh relu abs clip dropout gelu_tanh gelu_erf",
    "two arrays that are broadcast against each other": "add subtract multiply divide maximum where power",
    "the same numbers elsewhere": "reshape transpose permute broadcast_to cat stack getitem embedding",
    "many numbers in, one out": "sum mean max mse_loss binary_cross_entropy binary_cross_entropy_with_logits var",
    "products of matrices": "matmul linear",
    "whole vectors": "softmax log_softmax cross_entropy linear_cross_entropy layer_norm causal_attention",
}
LINES = {  # one line for a gradient of an op, shown where it is wrong
    "causal_attention dqkv": "undo the seven steps of the forward one at a time, from the last to the first",
    "cross_entropy dlogits": "each loss depends on all scores of its row, and on the right one twice",
    "gelu_erf dx": "x enters twice, as a factor and in Φ: the product rule",
    "gelu_tanh dx": "x enters twice, as a factor and in s, through u: the product rule, then the chain rule",
    "layer_norm dx": "x̂ depends on its whole vector, through μ and through σ: each of the two adds a term",
    "log_softmax dx": "every output depends on every x of its vector, through the sum",
    "matmul da": "write down yᵢⱼ = Σₖ aᵢₖ bₖⱼ, and ask which entries of y a single aᵢₖ reaches",
    "matmul db": "write down yᵢⱼ = Σₖ aᵢₖ bₖⱼ, and ask which entries of y a single bₖⱼ reaches",
    "sigmoid dx": "of y = 1 / (1 + e⁻ˣ) take the derivative, then write it with y alone",
    "softmax dx": "every p depends on every x of its vector, through the sum",
    "tanh dx": "of y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ) take the derivative, then write it with y alone",
}


def levels():
    """{what it is about: [op, …]} for every op there is, from easy to hard."""
    ops = tinyllm_ops()
    listed = {title: [ops.pop(name) for name in names.split() if name in ops] for title, names in LEVELS.items()}
    return listed | ({"further ones": [ops[name] for name in sorted(ops)]} if ops else {})


def find_op(name):
    """The op of that name; the error suggests those that it may mean."""
    ops = tinyllm_ops()
    if name in ops:
        return ops[name]
    part = name.lower().replace("_", "")
    near = [op for op in sorted(ops) if part in op.replace("_", "")] or get_close_matches(name.lower(), ops)
    meant = f"; did you mean {' or '.join(near)}?" if near else ";"
    raise ValueError(f"no op is called {name!r}{meant} `tinyllm exercise` lists them all")
