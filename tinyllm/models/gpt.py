"""GPT-2 (Radford et al. 2019), with its options and Hugging Face's names."""

import math
from dataclasses import dataclass

from .. import nn, ops
from ..generation.cache import KVCache
from ..methods import Tensor
from ..random import draw_from
from . import pretrained
from .language_model import LanguageModel
from .sizes import parameter_count
from .weights import WEIGHTS, read_weights, refuse_pickle


@dataclass(frozen=True)
class GPTConfig:
    vocab_size: int = 65
    block_size: int = 64  # the longest sequence: how far it can look back
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0
    bias: bool = True  # in linear layers and layer norms, as GPT-2 has it; False is a bit better and faster
    qkv_bias: bool | None = None  # in the projection to q, k and v; None: as bias
    tie_weights: bool = True  # the output layer is the token embedding

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            value = getattr(self, name)
            if not hasattr(value, "__index__") or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        for name in ("bias", "qkv_bias", "tie_weights"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "qkv_bias" and value is None):
                raise ValueError(f"{name} must be true or false, not {value!r}")
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a probability from 0 to below 1, not {self.dropout!r}")


class GPT(LanguageModel):
    """Token and position embeddings, n_layer blocks, a last layer norm, and a score for every token of the vocabulary.

    ids (B, T) integers, T ≤ block_size  ->  logits (B, T, V)
    """

    def __init__(self, config, seed=0, dtype="float32"):
        self.config = config
        self.generation_config = {}  # what Hugging Face's generation_config.json says: eos_token_id and the like
        V, C = config.vocab_size, config.n_embd
        # each block adds to x twice: smaller steps, so that the sum of 2·n_layer of them does not grow with depth
        std = 0.02 / math.sqrt(2 * config.n_layer)
        with draw_from(seed):
            self.wte = nn.Embedding(V, C, std=0.02)
            self.wpe = nn.Embedding(config.block_size, C, std=0.02)
            self.drop = nn.Dropout(config.dropout)
            self.h = nn.ModuleList(
                nn.Block(C, config.n_head, config.dropout, config.bias, config.qkv_bias, std)
                for _ in range(config.n_layer)
            )
            self.ln_f = nn.LayerNorm(C, bias=config.bias)
            head = self.wte.weight if config.tie_weights else nn.init.normal((V, C), std=0.02)
            self.lm_head = nn.Linear(C, V, bias=False, weight=head)
        self.to(dtype)

    @property
    def block_size(self):
        return self.config.block_size

    def forward(self, ids):
        return self.lm_head(self.hidden(ids))  # (B, T, V)

    def hidden(self, ids):
        """What the output layer reads.

        ids (B, T) integers  ->  x (B, T, C)
        """
        ids = ids if isinstance(ids, Tensor) else Tensor(ids)
        if ids.ndim != 2 or not 1 <= ids.shape[1] <= self.block_size:
            raise ValueError(f"GPT: ids must be (B, T) with 1 ≤ T ≤ block_size={self.block_size}, got {ids.shape}")
        T = ids.shape[1]
        x = self.wte(ids) + self.wpe.weight[:T]  # (B, T, C): what each token is, and where it stands
        x = self.drop(x)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)

    def loss(self, ids, targets):
        head_and_loss = ops.linear_cross_entropy
        if not head_and_loss.kernel_for(self.lm_head.weight):  # two ops that can be seen
            return super().loss(ids, targets)
        x = self.hidden(ids)
        targets = self._targets(targets, x, self.config.vocab_size)
        return head_and_loss(x.reshape(-1, x.shape[-1]), self.lm_head.weight, targets.reshape(-1))

    loss.__doc__ = LanguageModel.loss.__doc__

    def new_cache(self, batch_size, length):
        return KVCache(self, batch_size, length)

    def save_pretrained(self, directory):
        """Write config.json and model.safetensors, in Hugging Face's form."""
        pretrained.save(self, directory)

    @classmethod
    def from_pretrained(cls, directory, weights=WEIGHTS, beside=()):
        """The model of a Hugging Face folder, in evaluation mode; weights: another file of it, as best.safetensors.
        beside: names of arrays there that are no part of a GPT, as those of another head.

        The name of a model that `tinyllm data download` has fetched stands for its folder: "gpt2".
        float32 and float64 weights are views of the file: they are read when they are used, and take no memory twice.
        """
        from ..data.hub import local_model  # loads what speaks to the network

        directory = local_model(directory)
        refuse_pickle(directory)
        fields, generation_config = pretrained.read_config(directory)
        try:
            config = GPTConfig(**fields)
        except ValueError as error:
            raise ValueError(f"{directory}: config.json: {error}") from error
        arrays = read_weights(directory, weights, tied=config.tie_weights)
        arrays = {name: array for name, array in arrays.items() if name not in beside}
        try:
            check_size(config, arrays)
            dtypes = {str(array.dtype) for array in arrays.values()}
            with nn.init.skipped():
                model = cls(config, dtype="float64" if dtypes == {"float64"} else "float32")
            model.load_state_dict(arrays, assign=True)
        except ValueError as error:
            raise ValueError(f"{directory}: config.json and {weights} do not fit: {error}") from error
        model.generation_config = generation_config
        return model.eval()


def check_size(config, arrays):
    """Raise where a configuration asks for far more than the arrays: too much to make it first and compare it then."""
    held, asked = sum(array.size for array in arrays.values()), parameter_count(config)
    if asked > 10 * held or config.n_layer > len(arrays):
        raise ValueError(f"a model of {config.n_layer:,} layers and {asked:,} parameters, and {len(arrays):,} arrays "
                         f"of {held:,} numbers")
