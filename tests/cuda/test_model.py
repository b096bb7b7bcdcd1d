"""A whole model with all kernels there are: numpy's plain loss and gradients, and nobody waits."""

import numpy as np
import pytest

from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig, Tensor
from tinyllm.autograd import OPS, gradients
from tinyllm.observe import plain_ops

CONFIG = GPTConfig(vocab_size=61, block_size=24, n_layer=2, n_head=3, n_embd=24)
IDS = np.random.default_rng(0).integers(0, 61, (2, 19))
TARGETS = np.where(IDS % 7 == 0, -100, np.roll(IDS, -1))


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"tie_weights": False, "n_embd": 21}], ids=str)
def test_equals_the_model_of_plain_ops(options, cupy):
    config = GPTConfig(**{**vars(CONFIG), **options})
    there, here = GPT(config).to("cupy"), GPT(config, dtype="float64")
    ids, targets = Tensor(IDS).to("cupy"), Tensor(TARGETS).to("cupy")
    with cupy.step():
        loss = there.loss(ids, targets)
        grads = gradients(loss)
    with plain_ops():
        exact_loss = here.loss(IDS, TARGETS)
        exact = gradients(exact_loss)
    assert abs(loss.item() - exact_loss.item()) < 1e-5
    for (name, ours), theirs in zip(there.named_parameters(), here.parameters(), strict=True):
        assert_close(name, grads[ours].get(), exact[theirs], 1e-4, floor=1e-3)


def test_which_ops_have_kernels():
    with_kernels = {name for name, op in OPS.items() if "cupy" in op.kernels}
    assert with_kernels >= {"layer_norm", "linear", "add", "embedding", "dropout", "gelu_tanh"}
