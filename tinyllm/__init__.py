"""tinyllm: a complete small language model in transparent numpy, with its own backward pass.

Read the files in this order; each is short:

    backend.py            where arrays live
    tensor.py             an array, and where it came from
    autograd.py           how a backward pass works
    ops/arithmetic.py     the first ops: a forward, and its backward right below
    ops/linear.py         then linear, softmax, cross_entropy, layer_norm, gelu
    ops/attention.py      causal attention in seven numbered steps
    nn/                   an op and its parameters
    models/gpt.py         the GPT
    optim/adamw.py        how a gradient moves a parameter
    training/step.py      one training step
    training/loop.py      the loop

Names are loaded when they are first used, so `import tinyllm` costs nothing.
"""

import builtins
import importlib
import sys
from types import ModuleType

__version__ = "0.1.0"

_HOME = {
    "methods": "Tensor",
    "autograd": "gradients OPS op",
    "observe": "no_grad observe Observer",
    "gradcheck": "gradcheck",
    "tracing": "trace Trace",
    "random": "manual_seed",
    "creation": "tensor from_numpy zeros ones full eye arange rand randn zeros_like ones_like",
    "ops": "abs add clip divide exp log maximum multiply negative power sqrt subtract where relu sigmoid tanh "
    "matmul max mean sum var cat stack split squeeze unsqueeze transpose permute reshape broadcast_to "
    "softmax log_softmax",
    "models.gpt": "GPT GPTConfig",
    "models.bigram": "Bigram",
    "optim": "AdamW SGD",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}
_SUBMODULES = ("ops", "nn", "optim", "models", "data", "tokenizers", "generation", "training", "tracing", "debug")
_DTYPES = {name: name for name in ("float32", "float64", "int32", "int64", "bool")}
_DTYPES |= {"float": "float32", "double": "float64", "int": "int32", "long": "int64"}  # torch's other names for them

__all__ = [name for name in (*_MODULE_OF, *_SUBMODULES, *_DTYPES) if not hasattr(builtins, name)]


def __getattr__(name):
    if name in _DTYPES:
        value = _DTYPES[name]  # a dtype is its name
    elif name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    else:
        raise AttributeError(f"module 'tinyllm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_MODULE_OF, *_SUBMODULES, *_DTYPES})


class _Package(ModuleType):
    """Importing tinyllm/gradcheck.py would make `tinyllm.gradcheck` that file; it stays the function of that name."""

    def __setattr__(self, name, value):
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
