"""Recordings for the tests of what is made of them: a training step of a small GPT, and every op once."""

import numpy as np

from tests.op_cases import examples
from tests.op_checks import upstream
from tinyllm import GPT, AdamW, GPTConfig, Tensor
from tinyllm.checking import tinyllm_ops
from tinyllm.optim import clip_grad_norm
from tinyllm.tracing import trace

OPS = tinyllm_ops()


def record(tokens="to be or not to be", n_layer=2, n_head=2, n_embd=16, dropout=0.0, **config):
    """The recording of a step on a text (or a list of tokens), and the gradients as the backward left them."""
    vocabulary = sorted(set(tokens))
    ids = np.array([[vocabulary.index(token) for token in tokens]])[:, :17]
    sizes = {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd, "dropout": dropout}
    model = GPT(GPTConfig(vocab_size=len(vocabulary), block_size=16, **sizes, **config), seed=0)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with trace() as recording:
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    texts = [vocabulary[i] for i in ids[0]]
    recording.text = {"tokens": texts[:-1], "targets": texts[1:]}
    recording.meta |= {"loss_after": float(model.loss(ids[:, :-1], ids[:, 1:]).data)}
    return recording, gradients


def record_examples(names, count, seed=0):
    """The recording of ops on some of their examples each, forward and backward from a random gradient."""

    def as_float32(x):
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    with trace() as recording, np.errstate(all="ignore"):
        for name in sorted(names):
            for case in examples(name, count, seed):
                tensors = [None if x is None else Tensor(as_float32(x), x.dtype.kind == "f") for x in case.inputs]
                y = OPS[name](*tensors, **case.options)
                y.backward(upstream(y.data))
    return recording


def record_every_op(seed=0):
    """The recording of each op on one of its examples."""
    return record_examples(OPS, 1, seed)
