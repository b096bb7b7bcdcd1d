"""Freezing: what does not learn needs no gradient, and none is computed for it."""

from dataclasses import dataclass

from ..models.sizes import training_memory


def freeze(gpt, what):
    """Freeze "none" of a GPT, "all" of it, or all "but-last-block" and the layer norm behind it."""
    gpt.requires_grad_(what == "none")
    if what == "but-last-block":
        gpt.h[-1].requires_grad_()
        gpt.ln_f.requires_grad_()
    return gpt


def count(model):
    """(how many numbers a model has, how many of them learn)"""
    parameters = list(model.parameters())
    return sum(p.data.size for p in parameters), sum(p.data.size for p in parameters if p.requires_grad)


@dataclass(frozen=True)
class Sizes:
    parameters: int
    learned: int
    memory: int  # bytes at the peak of a step, nearly

    @classmethod
    def of(cls, model, config, copies=1, rows=1):
        """Of the fine-tuning of a model, frozen as it will be, as a TuneConfig says.

        copies: how many of what learns are in memory, with those that it is compared with. rows: of an example.
        """
        parameters, learned = count(model)
        itemsize = next(model.parameters()).data.itemsize
        rows, rounded = rows * config.batch_size, config.precision == "bf16"
        memory = training_memory(model.config, rows, itemsize, rounded)
        memory -= 3 * itemsize * (parameters - learned)
        return cls(parameters, learned, memory + (copies - 1) * itemsize * learned)
