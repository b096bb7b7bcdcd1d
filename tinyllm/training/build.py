"""The model and the optimizer that a TrainConfig describes."""

from dataclasses import fields
from functools import partial

from .. import kernels
from ..models import GPT, GPTConfig
from ..observe import MODE
from ..optim import AdamW, FlatAdamW
from ..optim.device import DeviceAdamW, fits_a_gpu
from .state import TrainState


def initial_state(config, corpus):
    """A model with fresh weights and its optimizer, before the first step."""
    model = build_model(config, corpus.tokenizer.vocab_size)
    return TrainState(model, build_optimizer(config, model), corpus.tokenizer, corpus.text_sha256)


def build_model(config, vocab_size):
    """The GPT of a configuration, with fresh weights."""
    return GPT(model_config(config, vocab_size), seed=config.seed, dtype=config.dtype).to(config.backend)


def model_config(config, vocab_size):
    """The part of a TrainConfig that says what the model is."""
    names = {field.name for field in fields(GPTConfig)} - {"vocab_size"}
    return GPTConfig(vocab_size=vocab_size, **{name: getattr(config, name) for name in names})


def build_optimizer(config, model):
    """AdamW that decays matrices and embeddings; biases and norms have nothing to gain from being small.

    What is frozen is left out. In the precision bf16 the model computes with bfloat16 weights from here on; the
    optimizer has them in float32.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    masters = {p: p.data for p in parameters}
    if config.precision == "bf16":
        model.to("bfloat16")
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    kind, flat = AdamW, partial(FlatAdamW, empty=kernels.cpu.ARENA.empty)
    if MODE.get().kernels or config.precision == "bf16":
        kind = flat if config.backend == "numpy" else DeviceAdamW if fits_a_gpu(parameters) else AdamW
    optimizer = kind(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))
    if config.precision == "bf16":
        for p, array in masters.items():
            optimizer.set_master(p, array)
    return optimizer
