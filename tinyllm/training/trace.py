"""A training step on one text, recorded."""

from ..observe import no_grad
from ..optim import AdamW, clip_grad_norm
from ..random import dropout_step
from ..tracing import trace

OPTIONS = {"lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}  # of AdamW, for all weights alike


def trace_step(model, tokenizer, text, seed=0):
    """The Trace of one step of `model` on `text`, whose every token is to be foretold by those before it.

    The step is that of a training: forward, backward, clipping, AdamW.
    """
    ids = tokenizer.encode(text)
    if len(ids) > model.block_size + 1:
        raise ValueError(f"the text has {len(ids)} tokens, the model looks at {model.block_size} and foretells one "
                         f"more; give at most {model.block_size + 1}")
    inputs, targets = ids[None, :-1], ids[None, 1:]
    optimizer = AdamW(model.parameters(), **OPTIONS)
    with trace() as recording:
        with dropout_step(seed, step=0):
            loss = model.loss(inputs, targets)
        loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
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
        "optimizer": OPTIONS,
    }
    return recording
