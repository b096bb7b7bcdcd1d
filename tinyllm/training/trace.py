"""A training step on one text, recorded."""

import math

from ..observe import no_grad
from ..optim import clip_grad_norm
from ..random import dropout_step
from ..tracing import trace
from .build import build_optimizer
from .config import TrainConfig


def trace_step(model, tokenizer, text, seed=0, config=TrainConfig()):
    """The Trace of one step of `model` on `text`, whose every token is to be foretold by those before it.

    The step is the first one of a training as `config` says: forward, backward, clipping, AdamW at its highest rate.
    """
    ids = tokenizer.encode(text)
    if len(ids) > model.block_size + 1:
        raise ValueError(f"the text has {len(ids)} tokens, the model looks at {model.block_size} and foretells one "
                         f"more; give at most {model.block_size + 1}")
    inputs, targets = ids[None, :-1], ids[None, 1:]
    optimizer = build_optimizer(config, model)
    with trace() as recording:
        with dropout_step(seed, step=0):
            loss = model.loss(inputs, targets)
        loss.backward()
        clip_grad_norm(model.parameters(), config.grad_clip or math.inf)
        optimizer.step()
    with no_grad(), dropout_step(seed, step=0):
        loss_after = model.loss(inputs, targets)
    tokens = [tokenizer.decode([i]) for i in ids.tolist()]
    recording.text = {"tokens": tokens[:-1], "targets": tokens[1:]}
    recording.meta = {
        "seed": seed,
        "parameters": sum(parameter.data.size for parameter in model.parameters()),
        "loss": loss.item(),
        "loss_after": loss_after.item(),
    }
    return recording
