"""The whole model against `reference/`: logits, every gradient, and a training run, number by number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.gpt
import reference.training
from tests.op_checks import assert_close
from tinyllm import GPT, AdamW, GPTConfig
from tinyllm.optim import clip_grad_norm, warmup_cosine
from tinyllm.random import DropoutStream, dropout_step
from tinyllm.training.build import build_optimizer
from tinyllm.training.config import TrainConfig


@st.composite
def configs(draw, dropout=(0.0,)):
    n_head = draw(st.integers(1, 4))
    return GPTConfig(
        vocab_size=draw(st.integers(2, 17)),
        block_size=draw(st.integers(1, 9)),
        n_layer=draw(st.integers(1, 3)),
        n_head=n_head,
        n_embd=n_head * draw(st.integers(-(-4 // n_head), 8)),
        dropout=draw(st.sampled_from(dropout)),
        bias=draw(st.booleans()),
        qkv_bias=draw(st.sampled_from([None, True, False])),
        tie_weights=draw(st.booleans()),
    )


def random_weights(config, rng):
    """Every parameter random, the biases and norms too: zeros and ones would hide what is wrong with them."""
    shapes = {name: p.shape for name, p in GPT(config).named_parameters()}
    return {name: 0.3 * rng.standard_normal(shape) + (name.endswith("ln_f.weight")) for name, shape in shapes.items()}


def both(config, weights, dtype="float64"):
    """The same model twice: ours and torch's."""
    ours = GPT(config, dtype=dtype)
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(config))).to(getattr(torch, dtype))
    ours.load_state_dict(weights)
    theirs.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    return ours, theirs


def masks(config, B, T, seed, step):
    """The dropout masks of one step, in the order of the forward."""
    stream, C = DropoutStream(seed, step), config.n_embd
    shapes = [(B, T, C)] + [(B, config.n_head, T, T), (B, T, C), (B, T, C)] * config.n_layer
    return [torch.from_numpy(stream.keep(shape, config.dropout)) for shape in shapes]


def batch(config, rng, B, ignored=0.0):
    T = int(rng.integers(1, config.block_size + 1))
    ids, targets = rng.integers(0, config.vocab_size, (2, B, T))
    targets[rng.random(targets.shape) < ignored] = -100
    targets[0, 0] = 0  # one is left
    return ids, targets


# float32: 200 roundings of 6e-8 in a row of layers that amplify; float64 leaves the amplified 1e-16
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-12), ("float32", 2e-5)])
def test_logits_loss_and_every_gradient(dtype, bound):
    @settings(max_examples=60)
    @given(configs(dropout=(0.0, 0.0, 0.2)), st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([0.0, 0.4]))
    def check(config, seed, B, ignored):
        rng = np.random.default_rng(seed)
        ours, theirs = both(config, random_weights(config, rng), dtype)
        ids, targets = batch(config, rng, B, ignored)
        T, keeps = ids.shape[1], None
        if config.dropout:
            keeps = masks(config, B, T, seed, 0)
        with dropout_step(seed, 0):
            logits = ours(ids)
        with dropout_step(seed, 0):
            loss = ours.loss(ids, targets)
        loss.backward()
        their_logits = theirs(torch.from_numpy(ids), keeps)
        their_loss = theirs.loss(torch.from_numpy(ids), torch.from_numpy(targets), keeps)
        their_loss.backward()
        assert logits.dtype == loss.dtype == dtype
        assert_close("logits", logits.data, their_logits.detach().numpy(), bound)
        assert_close("loss", loss.data, their_loss.detach().numpy(), bound)
        their_grads = {name: p.grad for name, p in theirs.named_parameters()}
        assert [name for name, _ in ours.named_parameters()] == list(their_grads)
        for name, p in ours.named_parameters():
            assert p.grad.dtype == dtype
            assert_close(name, p.grad, their_grads[name].numpy(), bound)

    check()


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("tie_weights", [True, False])
def test_200_steps_of_training(dropout, tie_weights):
    config = GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12, dropout=dropout, tie_weights=tie_weights)
    rng = np.random.default_rng(0)
    ours, theirs = both(config, random_weights(config, rng))
    recipe = TrainConfig(learning_rate=3e-3, max_iters=200, warmup_iters=20)
    optimizer = build_optimizer(recipe, ours)
    their_optimizer = reference.training.configure_optimizer(theirs, 3e-3, (recipe.beta1, recipe.beta2), 0.1)
    schedule = {"learning_rate": 3e-3, "min_lr": 1e-4, "warmup_iters": 20, "max_iters": 200}
    losses = []
    for step in range(200):
        ids = rng.integers(0, 11, (4, 9))
        ids, targets = ids[:, :-1], ids[:, :-1] * 3 % 11  # a rule that can be learned
        lr = warmup_cosine(step, **schedule)
        keeps = masks(config, 4, 8, seed=7, step=step) if dropout else None
        with dropout_step(7, step):
            loss = ours.loss(ids, targets)
        loss.backward()
        norm = clip_grad_norm(ours.parameters(), recipe.grad_clip)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()
        their_loss, their_norm = reference.training.train_step(
            theirs, their_optimizer, torch.from_numpy(ids), torch.from_numpy(targets), lr, keeps=keeps
        )
        assert abs(loss.item() - their_loss) <= 1e-12 * their_loss, f"step {step}: {loss.item()} and {their_loss}"
        assert abs(float(norm) - their_norm) <= 1e-11 * their_norm, f"step {step}: {norm} and {their_norm}"
        losses.append(loss.item())
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20]), "200 steps should learn something"
    their_parameters = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        state = their_optimizer.state[their_parameters[name]]
        for what, mine, his in [
            (name, p.data, their_parameters[name].detach()),
            (f"m of {name}", optimizer.state[p]["m"], state["exp_avg"]),
            (f"v of {name}", optimizer.state[p]["v"], state["exp_avg_sq"]),
        ]:
            his = his.numpy()
            if name.endswith("c_attn.bias"):
                # a bias of the keys moves all scores of a query alike and softmax ignores it: its gradient is rounding
                mine, his = np.delete(mine, slice(12, 24)), np.delete(his, slice(12, 24))
            assert_close(f"{what} after 200 steps", mine, his, 1e-11)


def test_float32_training_follows_torchs():
    """The losses drift apart as roundings add up: 1e-4 of the loss after 50 steps."""
    config = GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=12)
    rng = np.random.default_rng(0)
    ours, theirs = both(config, random_weights(config, rng), "float32")
    optimizer = AdamW(ours.parameters(), lr=1e-3, weight_decay=0.1)
    their_optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.1)
    before = ours.state_dict()
    for _ in range(50):
        ids, targets = rng.integers(0, 11, (2, 4, 8))
        loss = ours.loss(ids, targets)
        loss.backward()
        clip_grad_norm(ours.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        their_loss, _ = reference.training.train_step(
            theirs, their_optimizer, torch.from_numpy(ids), torch.from_numpy(targets), 1e-3
        )
        assert abs(loss.item() - their_loss) <= 1e-4 * their_loss
    for name, p in ours.named_parameters():
        assert p.dtype == "float32"
        assert not np.array_equal(p.data, before[name]), f"{name} never moved"


def test_a_pretrained_state_dict_of_torch_loads():
    config = GPTConfig(7, 4, n_layer=1, n_head=2, n_embd=8)
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(config)))
    ours = GPT(config)
    ours.load_state_dict(theirs.state_dict())
    ids = np.array([[1, 2, 3]])
    assert_close("logits", ours(ids).data, theirs(torch.from_numpy(ids)).detach().numpy(), 1e-5)
