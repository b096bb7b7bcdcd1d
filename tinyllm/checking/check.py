"""One op held against finite differences, on all its examples."""

import math
from dataclasses import dataclass

from ..gradcheck import gradcheck
from .userfile import told


@dataclass(frozen=True)
class OpCheck:
    """The example on which numeric and analytic differ most, as `gradcheck` has them; problem: what is wrong, or ""."""

    op: str
    examples: int
    numeric: float = math.nan
    analytic: float = math.nan
    error: float = math.nan
    problem: str = ""

    @property
    def ok(self):
        return not self.problem


def check_op(op, examples, path=None, seed=0):
    """Compare the backward of an op with finite differences; path: the user's file that defines it."""
    worst, worst_example = None, None
    for i, example in enumerate(examples):
        try:
            result = gradcheck(lambda *inputs: op(*inputs, **example.options), *example.inputs, seed=[seed, i])
        except Exception as error:  # of the user's code: it is what is wrong
            return OpCheck(op.__name__, len(examples), problem=f"{told(error, path)}\n{called(op, example)}")
        if worst is None or _size(result) > _size(worst):
            worst, worst_example = result, example
    problem = "" if worst else f"{_wrong_gradients(op, worst_example)} {called(op, worst_example)}"
    return OpCheck(op.__name__, len(examples), worst.numeric, worst.analytic, worst.error, problem)


def called(op, example):
    """in softmax(x (3, 4), axis=0)"""
    arrays = zip(array_names(op, example), example.inputs)
    arguments = [f"{name} {'None' if x is None else x.shape}" for name, x in arrays]
    arguments += [f"{name}={value!r}" for name, value in example.options.items()]
    return f"in {op.__name__}({', '.join(arguments)})"


def array_names(op, example):
    """The name of each array of an example: x, weight; xs[0], xs[1] of an op that takes any number of them."""
    if op.variadic:
        return [f"{op.names[-1]}[{i}]" for i in range(len(example.inputs))]
    return op.names[: len(example.inputs)]


def _size(result):
    return math.inf if math.isnan(result.error) else result.error


def _wrong_gradients(op, example):
    floats = [i for i, x in enumerate(example.inputs) if x is not None and x.dtype.kind == "f"]
    names = array_names(op, example)
    wrong = [f"d{names[i]}" for i in floats if not _is_right_alone(op, example, i)] or ["the whole"]
    return f"{' and '.join(wrong)} {'differ' if len(wrong) > 1 else 'differs'} from finite differences"


def _is_right_alone(op, example, i):
    """Whether the gradient of array i is right, while the others stand still."""

    def of_one(x):
        return op(*example.inputs[:i], x, *example.inputs[i + 1 :], **example.options)

    try:
        return bool(gradcheck(of_one, example.inputs[i]))
    except Exception:  # a backward that cannot give one gradient alone
        return False
