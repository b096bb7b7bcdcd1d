"""Layers: an op and its parameters. Names and meanings are torch's; `nn.functional` has the ops under torch's names."""

from . import functional, init
from .activation import GELU, ReLU, Sigmoid, Tanh
from .attention import CausalSelfAttention
from .block import Block
from .dropout import Dropout
from .embedding import Embedding
from .layer_norm import LayerNorm
from .linear import Conv1D, Linear
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from .mlp import MLP
from .module import Module, ModuleList, Parameter, Sequential

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "Block",
    "CausalSelfAttention",
    "Conv1D",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "GELU",
    "LayerNorm",
    "Linear",
    "MLP",
    "MSELoss",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
]
