"""A trained model, where it is to compute, and how precisely."""

from contextlib import contextmanager


@contextmanager
def computing(run, best, backend, precision):
    """The model and the tokenizer of a run (see `load_model`); what the model computes inside, it does in that way."""
    from .. import precision as policy
    from ..backend import require
    from ..finetune.loading import load_model

    policy.check(precision, backend)
    require(backend)
    model, tokenizer = load_model(run, best)
    policy.check(precision, backend, str(model.wte.weight.dtype))
    model.to(backend)
    if precision == "bf16":
        model.to("bfloat16")
    with policy.precision(precision):
        yield model, tokenizer
