"""What is put beside a frozen GPT, in PyTorch: LoRA, bottlenecks, a soft prompt."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from reference.gpt import Conv1D


class LoRA(nn.Module):
    """A layer (in, out) plus scale · B A; with 3 parts each third of the outputs has its own A and B."""

    def __init__(self, base_layer, rank, scale, parts=1):
        super().__init__()
        n_in, n_out = base_layer.weight.shape
        self.base_layer, self.scale, self.parts = base_layer, scale, parts
        self.lora_A = nn.Linear(n_in, parts * rank, bias=False)
        self.lora_B = nn.Linear(rank, n_out, bias=False)

    def forward(self, x):
        As, Bs = self.lora_A.weight.chunk(self.parts), self.lora_B.weight.chunk(self.parts)
        return self.base_layer(x) + self.scale * torch.cat([x @ A.T @ B.T for A, B in zip(As, Bs)], dim=-1)


class Bottleneck(nn.Module):
    """A layer, and a detour of `size` channels behind it."""

    def __init__(self, base_layer, size):
        super().__init__()
        C = base_layer.weight.shape[1]
        self.base_layer, self.down, self.up = base_layer, Conv1D(C, size), Conv1D(size, C)

    def forward(self, x):
        h = self.base_layer(x)
        return h + self.up(F.gelu(self.down(h), approximate="tanh"))


class SoftPrompt(nn.Module):
    """n vectors before the embeddings of every text; their own places are left out of what comes back."""

    def __init__(self, gpt, n):
        super().__init__()
        self.gpt, self.prompt = gpt, nn.Parameter(torch.empty(n, gpt.config.n_embd))

    def forward(self, ids):
        n = len(self.prompt)
        x = torch.cat([self.prompt.expand(len(ids), -1, -1), self.gpt.wte(ids)], dim=1)
        x = x + self.gpt.wpe.weight[: x.size(1)]
        for block in self.gpt.h:
            x = block(x)
        return F.linear(self.gpt.ln_f(x)[:, n:], self.gpt.wte.weight)

    def loss(self, ids, targets):
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten(), ignore_index=-100)


def adapt(gpt, tune, config):
    """A frozen GPT with the adapters that a fine-tuning asks for, by the same names."""
    gpt.requires_grad_(False)
    if tune == "soft-prompt":
        return SoftPrompt(gpt, config.prompt_length).double()
    for block in gpt.h:
        for part, names in ((block.attn, ("c_attn", "c_proj")), (block.mlp, ("c_fc", "c_proj"))):
            for name in names if tune == "lora" else ("c_proj",):
                layer = getattr(part, name)
                if tune == "lora":
                    parts = 3 if config.lora_qkv_apart and name == "c_attn" else 1
                    layer = LoRA(layer, config.lora_rank, config.lora_alpha / config.lora_rank, parts)
                else:
                    layer = Bottleneck(layer, config.bottleneck_size)
                setattr(part, name, layer)
    return gpt.double()
