"""What a GPT costs by formula, held against a GPT that is really made and trained."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyllm import GPT, GPTConfig
from tinyllm.models.sizes import flops_per_token, parameter_count, training_memory
from tinyllm.observe import Observer, observe
from tinyllm.optim import AdamW


@st.composite
def configs(draw):
    n_head, head_size = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    return GPTConfig(
        vocab_size=draw(st.integers(1, 12)),
        block_size=draw(st.integers(1, 9)),
        n_layer=draw(st.integers(1, 3)),
        n_head=n_head,
        n_embd=n_head * head_size,
        bias=draw(st.booleans()),
        qkv_bias=draw(st.none() | st.booleans()),
        tie_weights=draw(st.booleans()),
    )


def a_step(config, batch_size, dtype="float32"):
    """A function that makes one training step, of a fresh model with full windows."""
    model = GPT(config, dtype=dtype)
    optimizer = AdamW(model.parameters(), lr=1e-3)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (batch_size, config.block_size + 1))

    def step():
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@given(configs())
def test_the_parameters_are_those_of_the_model(config):
    assert parameter_count(config) == sum(p.data.size for p in GPT(config).parameters())


def test_gpt2_has_124_million():
    assert parameter_count(GPTConfig(50257, 1024, 12, 12, 768)) == 124_439_808


class MatrixProducts(Observer):
    """Counts the multiplications and additions of each matrix product that a step makes, forward and backward."""

    def __init__(self):
        self.forward, self.backward, self.of_node = 0, 0, {}

    def op_ran(self, op, inputs, options, output, saved):
        if op.__name__ in ("linear", "matmul"):  # (…, K) @ (K, N): K of each for a number of the result
            work = 2 * output.data.size * inputs[0].shape[-1]
            self.of_node[output.node] = [work, work]  # dx and dweight are products of the same three sizes
        elif op.__name__ == "causal_attention":  # all heads together, a pair takes C for its score and C for its value
            B, T, C = output.shape
            work = 2 * (2 * C) * B * T * (T + 1) // 2
            self.of_node[output.node] = [2 * work]  # dq and dk from the scores, dP and dv from the values
        else:
            return
        self.forward += work

    def backward_ran(self, node, dy, grads):
        for work, grad in zip(self.of_node.get(node, []), grads):
            self.backward += work if grad is not None else 0


@given(configs(), st.integers(1, 3))
@settings(max_examples=30)
def test_the_arithmetic_is_that_of_the_matrix_products_of_a_step(config, batch_size):
    step, products = a_step(config, batch_size), MatrixProducts()
    with observe(products):
        step()
    tokens = batch_size * config.block_size
    assert flops_per_token(config) == pytest.approx((products.forward + products.backward) / tokens, abs=0.5)
    assert products.backward == 2 * products.forward, "so a third is left to generate, as `tinyllm info` says"


BALANCED = GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=64)
SHAPES = {
    "balanced": (BALANCED, 4),
    "one layer": (replace(BALANCED, n_layer=1), 8),
    "deep": (replace(BALANCED, n_layer=12, n_head=1), 4),
    "long windows, many heads": (replace(BALANCED, block_size=192, n_head=8), 2),
    "a large vocabulary": (replace(BALANCED, vocab_size=4000), 4),
    "mostly parameters": (replace(BALANCED, n_embd=256, n_layer=2, block_size=16), 1),
    "not tied": (replace(BALANCED, vocab_size=1000, tie_weights=False, bias=False), 2),
}


@pytest.mark.parametrize("dropout", [0.0, 0.1], ids=["no dropout", "dropout"])
@pytest.mark.parametrize(("config", "batch_size"), SHAPES.values(), ids=SHAPES.keys())
def test_the_memory_is_the_peak_of_two_steps(config, batch_size, dropout):
    config = replace(config, dropout=dropout)
    peak = traced_peak(config, batch_size, "float32")
    assert 0.9 * peak < training_memory(config, batch_size) < 1.2 * peak, "too little is worse than too much"


def test_float64_takes_twice_the_memory():
    assert training_memory(BALANCED, 4, itemsize=8) == 2 * training_memory(BALANCED, 4)
    assert training_memory(BALANCED, 4, itemsize=8) == pytest.approx(traced_peak(BALANCED, 4, "float64"), rel=0.2)


def traced_peak(config, batch_size, dtype):
    """Bytes, from an empty memory to the end of the second step."""
    tracemalloc.start()
    try:
        step = a_step(config, batch_size, dtype)
        step(), step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
