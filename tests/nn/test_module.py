"""Module: a tree of attributes."""

import numpy as np
import pytest

from tinyllm import Tensor, nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 2)
        self.layers = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Dropout(0.5)])
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.note = "not a parameter"
        self.tied = nn.Linear(2, 2, bias=False, weight=self.layers[0].weight)

    def forward(self, x):
        return self.tied(self.layers[1](self.layers[0](self.first(x)))) * self.scale


def test_names_follow_the_tree_and_a_tied_parameter_comes_once():
    net = Net()
    names = ["scale", "first.weight", "first.bias", "layers.0.weight"]
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == names
    assert [path for path, _ in net.named_modules()] == ["", "first", "layers", "layers.0", "layers.1", "tied"]
    assert len(net.layers) == 2 and net.layers[1].p == 0.5


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    x = Tensor(np.ones((4, 3)), dtype="float32")
    assert np.array_equal(net(x).data, net(x).data), "nothing is dropped"
    assert all(module.training for module in net.train().modules())


def test_freezing_and_zero_grad():
    net = Net().eval().requires_grad_(False)
    net.scale.requires_grad = True
    net(Tensor(np.ones((1, 3)), dtype="float32")).sum().backward()
    assert net.scale.grad is not None and net.first.weight.grad is None
    net.zero_grad()
    assert net.scale.grad is None


def test_state_dict_is_a_copy_and_loading_copies():
    net = Net()
    state = net.state_dict()
    state["scale"][:] = 7
    assert net.scale.data.tolist() == [1, 1]
    net.load_state_dict(state)
    state["scale"][:] = 9
    assert net.scale.data.tolist() == [7, 7] and net.scale.dtype == "float32"


def test_to_moves_every_parameter_and_keeps_ties():
    net = Net().to("float64")
    assert {p.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert net.tied.weight is net.layers[0].weight


def test_a_parameter_is_not_replaced_by_a_tensor():
    net = Net()
    with pytest.raises(TypeError, match=r"Net.scale is a Parameter and would no longer be learned"):
        net.scale = Tensor([1.0, 2.0])
    net.scale.data = Tensor([1.0, 2.0])
    net.scale = nn.Parameter(np.zeros(2, np.float32))
    assert len(list(net.parameters())) == 4


def test_the_repr_is_the_tree():
    lines = repr(Net()).splitlines()
    assert lines[0].startswith("Net()") and lines[0].split()[1] == "14"
    assert "(first): Linear(3, 2)" in lines[1] and "weight (2, 3), bias (2,)" in lines[1]
    assert lines[3].strip().startswith("(0): Linear(2, 2, bias=False)")
    assert lines[4].strip() == "(1): Dropout(0.5)"
    assert "weight (2, 2) tied" in lines[5]


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_dropout_of_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="dropout must be a probability"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match="dropout must be a probability"):
        nn.functional.dropout(Tensor([1.0]), p)


@pytest.mark.parametrize("modules", [[nn.Linear(3, 4), nn.Sigmoid], [[nn.Linear(3, 4)]], [nn.functional.relu]])
def test_sequential_of_anything_but_modules_is_refused(modules):
    with pytest.raises(TypeError, match="not a Module; write Sigmoid\\(\\) with its brackets"):
        nn.Sequential(*modules)


@pytest.mark.parametrize("target", ["int64", "cuda", "float16"])
def test_to_anything_but_backends_and_floats_is_refused(target):
    with pytest.raises(ValueError, match="give a backend, numpy or cupy, or float32 or float64"):
        Net().to(target)


def test_evaluating_gives_each_module_its_own_mode_back():
    net = Net()
    net.layers[1].eval()
    with pytest.raises(ZeroDivisionError), net.evaluating():
        assert not any(module.training for module in net.modules())
        assert not net.first(Tensor(np.ones((1, 3)), dtype="float32")).requires_grad
        raise ZeroDivisionError
    assert net.training and net.first.training and not net.layers[1].training
