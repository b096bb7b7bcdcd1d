"""Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751): a narrow detour behind each half of each block."""

from .. import nn, ops
from ..backend import backend_of
from ..random import draw_from


class Bottleneck(nn.Module):
    """h = layer(x)   y = h + up(gelu(down(h))): C → size → C, which adds nothing at first, since up begins at 0

    x (..., I)  ->  y (..., C)
    """

    def __init__(self, layer, size):
        C = layer.weight.shape[1]
        self.base_layer = layer
        self.down = nn.Conv1D(C, size)
        self.up = nn.Conv1D(size, C, std=0.0)
        self.to(layer.weight.dtype).to(backend_of(layer.weight.data))

    def forward(self, x):
        h = self.base_layer(x)
        return h + self.up(ops.gelu_tanh(self.down(h)))


def add_bottlenecks(gpt, size, seed=0):
    """Freeze a GPT, and let what each half of a block adds go through a Bottleneck that learns."""
    gpt.requires_grad_(False)
    with draw_from(seed):
        for block in gpt.h:
            block.attn.c_proj = Bottleneck(block.attn.c_proj, size)
            block.mlp.c_proj = Bottleneck(block.mlp.c_proj, size)
            for half in (block.attn, block.mlp):
                half.c_proj.base_layer.requires_grad_(False)
    return gpt
