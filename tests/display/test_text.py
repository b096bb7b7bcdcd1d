"""The reprs in a terminal: a small tensor shows its numbers, a large one what they are like, a module its tree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyllm import GPT, GPTConfig, Tensor, nn, tensor
from tinyllm.display.statistics import statistics
from tinyllm.tensor import Tensor as Bare


def model_of():
    return GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4), seed=0)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.floats(width=32)))
def test_statistics_are_those_of_numpy(array):
    found, finite = statistics(array), array[np.isfinite(array)]
    assert (found.size, found.nan) == (array.size, np.isnan(array).sum())
    assert found.infinite == np.isinf(array).sum() and found.zeros == (array == 0).sum()
    if finite.size:
        assert (found.smallest, found.largest) == (finite.min(), finite.max())
        np.testing.assert_allclose(found.mean, np.mean(finite, dtype=np.float64), rtol=1e-6)
        assert found.scale == np.abs(finite).max()


@pytest.mark.parametrize(
    "array, said",
    [
        (np.linspace(-1, 3, 102), "-1 … 3, mean 1"),
        (np.where(np.arange(101) < 2, 0.0, 2.0), "0 … 2, mean 1.96, 2 zeros"),
        (np.array([np.nan, np.inf, -np.inf] + [1.0] * 98), "1 … 1, mean 1, 1 NaN, 2 infinite"),
        (np.full(101, np.nan), "no finite number, 101 NaN"),
        (np.full(101, 1.5e308), "1.5e+308 … 1.5e+308, mean inf"),
        (np.full(101, 3e38, np.float32), "3e+38 … 3e+38, mean 3e+38"),
        (np.arange(5000) - 1, "-1 … 4998, mean 2498, 1 zero"),
        (np.zeros((40, 40), np.float32), "0 … 0, mean 0, 1,600 zeros"),
    ],
)
def test_more_numbers_than_a_hundred_are_described(array, said):
    assert repr(Tensor(array)) == f"Tensor({said}, shape={array.shape}, dtype={array.dtype})"


def test_up_to_a_hundred_numbers_are_listed():
    x = Tensor(np.arange(100.0))
    assert repr(x).startswith("Tensor([ 0.,  1.,") and "99.]" in repr(x)
    assert "…" in repr(Tensor(np.arange(101.0)))


def test_a_tensor_without_numbers_has_a_repr():
    assert repr(Tensor(np.zeros((0, 3)))) == "Tensor([], shape=(0, 3), dtype=float64)"


def test_a_parameter_says_its_path_and_what_is_made_of_it_too():
    model = model_of()
    assert "name=h.0.attn.c_attn.bias)" in repr(model.h[0].attn.c_attn.bias)
    x = Tensor(np.ones((1, 4), np.float32))
    made = model.h[0].attn.c_attn(x)
    assert repr(made).endswith("from=linear(h.0.attn.c_attn.weight, h.0.attn.c_attn.bias))")
    assert repr(model.lm_head(x)).endswith("from=linear(wte.weight))")  # tied, and transposed on the way
    assert repr(made.exp()).endswith("from=exp)")


def test_a_name_is_the_path_in_the_whole_model_wherever_a_part_was_replaced():
    model = model_of()
    assert {name: p.name for name, p in model.named_parameters()} == {n: n for n, _ in model.named_parameters()}
    loose = nn.Parameter(np.zeros(2, np.float32))
    assert loose.name is None and repr(loose).endswith("dtype=float32, requires_grad=True)")
    model.h[0].mlp = nn.Linear(4, 4)
    assert model.h[0].mlp.weight.name == "mlp.weight"  # as far as is known from there
    assert model.h[0].ln_1.weight.name == "h.0.ln_1.weight"
    model.wte.weight.requires_grad = False
    assert repr(model.wte.weight).endswith("name=wte.weight, requires_grad=False)")


def test_a_tensor_has_its_repr_wherever_it_was_imported_from():
    assert Bare is Tensor and repr(Bare([1.0])) == repr(tensor([1.0]))


def test_the_tree_of_a_module_has_shapes_counts_and_ties():
    model = model_of()
    lines = [line.split() for line in repr(model).splitlines()]
    assert lines[0] == ["GPT()", str(sum(p.data.size for p in model.parameters()))]
    assert ["(attn):", "CausalSelfAttention(n_head=1)", "80"] in lines
    assert lines[-1][:3] == ["(lm_head):", "Linear(4,", "5,"]
    assert " ".join(lines[-1][-6:]) == "weight (5, 4) tied to wte.weight"
    assert len(lines) == len(list(model.modules()))


def test_named_parameters_of_a_module_alone():
    block = model_of().h[0]
    assert list(block.named_parameters(recurse=False)) == []
    assert [name for name, _ in block.ln_1.named_parameters(recurse=False)] == ["weight", "bias"]
