"""Layers, losses and `nn.functional` behave as torch's of the same name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import reference.bigram
from tests.op_checks import assert_close
from tinyllm import Bigram, Tensor, manual_seed, nn
from tinyllm.nn import functional as F


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


X, W, B = normal(5, 4), normal(3, 4), normal(3)
T01 = (normal(5, 4, seed=1) > 0).astype(float)
FUNCTIONS = {
    "linear": lambda f, t: f.linear(t(X), t(W), t(B)),
    "linear, no bias": lambda f, t: f.linear(t(X), t(W)),
    "embedding": lambda f, t: f.embedding(t(np.array([[0, 2], [2, 1]])), t(W)),
    "layer_norm": lambda f, t: f.layer_norm(t(X), (4,), t(normal(4)), t(normal(4, seed=1)), 1e-3),
    "layer_norm alone": lambda f, t: f.layer_norm(t(X), [4]),
    "softmax": lambda f, t: f.softmax(t(X), dim=0),
    "log_softmax": lambda f, t: f.log_softmax(t(X), dim=-1),
    "gelu": lambda f, t: f.gelu(t(X)),
    "gelu, tanh": lambda f, t: f.gelu(t(X), approximate="tanh"),
    "relu": lambda f, t: f.relu(t(X)),
    "dropout, off": lambda f, t: f.dropout(t(X), p=0.5, training=False),
    "cross_entropy": lambda f, t: f.cross_entropy(t(X), t(np.array([0, 3, -100, 1, 2]))),
    "cross_entropy, sum": lambda f, t: f.cross_entropy(
        t(X), t(np.array([0, 3, 1, 1, 2])), ignore_index=1, reduction="sum"
    ),
    "mse_loss": lambda f, t: f.mse_loss(t(X), t(T01), reduction="none"),
    "binary_cross_entropy": lambda f, t: f.binary_cross_entropy(t(1 / (1 + np.exp(-X))), t(T01)),
    "with_logits": lambda f, t: f.binary_cross_entropy_with_logits(t(X), t(T01), reduction="sum"),
}


@pytest.mark.parametrize("call", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_functional(call):
    assert_close("value", call(F, Tensor).data, call(TF, torch.tensor).numpy(), 1e-12)


LAYERS = {
    "Linear": (lambda n: n.Linear(4, 3), X),
    "Linear, no bias": (lambda n: n.Linear(4, 3, bias=False), X),
    "Embedding": (lambda n: n.Embedding(6, 3), np.array([[0, 5], [5, 2]])),
    "LayerNorm": (lambda n: n.LayerNorm(4), X),
    "LayerNorm, no bias": (lambda n: n.LayerNorm(4, bias=False), X),
    "LayerNorm, no parameters": (lambda n: n.LayerNorm((4,), 1e-3, False), X),
    "activations": (lambda n: n.Sequential(n.Tanh(), n.ReLU(), n.GELU(), n.Sigmoid(), n.GELU("tanh")), X),
    "dropout of nothing": (lambda n: n.Sequential(n.Dropout(0.0)), X),
    "a net": (lambda n: n.Sequential(n.Linear(4, 6), n.ReLU(), n.Sequential(n.Linear(6, 2), n.Sigmoid())), X),
}


@pytest.mark.parametrize(("make", "x"), LAYERS.values(), ids=LAYERS.keys())
def test_layers_have_torchs_parameters_and_values(make, x):
    ours, theirs = make(nn).to("float64"), make(torch.nn).double()
    expected = {name: tuple(p.shape) for name, p in theirs.named_parameters()}
    assert {name: p.shape for name, p in ours.named_parameters()} == expected
    assert list(ours.state_dict()) == list(theirs.state_dict())
    weights = {name: normal(*shape, seed=3) for name, shape in expected.items()}
    ours.load_state_dict(weights)
    theirs.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    y, expected_y = ours(Tensor(x)), theirs(torch.tensor(x))
    assert_close("value", y.data, expected_y.detach().numpy(), 1e-12)
    if weights:
        dy = normal(*y.shape, seed=4)
        y.backward(dy)
        expected_y.backward(torch.tensor(dy))
        grads = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            assert_close(name, p.grad, grads[name].grad.numpy(), 1e-12)


LOSSES = {
    "MSELoss": (X, T01),
    "BCELoss": (1 / (1 + np.exp(-X)), T01),
    "BCEWithLogitsLoss": (X, T01),
    "CrossEntropyLoss": (X, np.array([0, 3, -100, 1, 2])),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction):
    x, target = LOSSES[name]
    ours = getattr(nn, name)(reduction=reduction)(Tensor(x), Tensor(target))
    theirs = getattr(torch.nn, name)(reduction=reduction)(torch.tensor(x), torch.tensor(target))
    assert_close("loss", ours.data, theirs.numpy(), 1e-12)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCELoss(), nn.BCEWithLogitsLoss()])
def test_a_target_of_another_shape_is_not_broadcast_in_silence(loss):
    with pytest.raises(ValueError, match=r"target's shape \(3,\) differs from the input's \(3, 1\)"):
        loss(Tensor(np.full((3, 1), 0.5)), Tensor(np.ones(3)))


def test_a_probability_outside_0_and_1_is_refused_as_by_torch():
    with pytest.raises(ValueError, match="probability 1.5 is outside 0 … 1"):
        F.binary_cross_entropy(Tensor([0.5, 1.5]), Tensor([1.0, 1.0]))


def test_initial_weights_have_torchs_distribution():
    manual_seed(0)
    ours, theirs = nn.Linear(400, 300), torch.nn.Linear(400, 300)
    for a, b in ((ours.weight.data, theirs.weight), (ours.bias.data, theirs.bias)):
        assert np.abs(a).max() <= 1 / 20
        assert a.std() == pytest.approx(b.std().item(), rel=0.1)
    assert nn.Embedding(300, 100).weight.data.std() == pytest.approx(1, rel=0.02)


def test_the_bigram_model_is_the_reference():
    ours, theirs = Bigram(7).to("float64"), reference.bigram.Bigram(7).double()
    theirs.load_state_dict({name: torch.from_numpy(w) for name, w in ours.state_dict().items()})
    ids, targets = np.random.default_rng(0).integers(0, 7, (2, 3, 5))
    loss, expected = ours.loss(ids, targets), theirs.loss(torch.from_numpy(ids), torch.from_numpy(targets))
    loss.backward(), expected.backward()
    assert_close("loss", loss.data, expected.detach().numpy(), 1e-12)
    table = ours.token_embedding_table.weight
    assert_close("gradient", table.grad, theirs.token_embedding_table.weight.grad.numpy(), 1e-12)


def test_a_layer_norm_over_several_axes_is_refused():
    with pytest.raises(ValueError, match=r"normalized_shape \(5, 4\) must be the last axis"):
        nn.LayerNorm((5, 4))(Tensor(X, dtype="float32"))
